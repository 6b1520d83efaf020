"""A model that finds a text probable where the text around the holes has it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import pytest

from incoder.request import InfillRequest
from incoder.results import Candidate, FinishReason, InfillResult, Score


@dataclass
class EchoingModel:
    """An infill costs 1 nat if the text around the holes has it, 5 nats if not; it writes `answer`."""

    answer: str = ""
    read: list[tuple[str, ...]] = field(default_factory=list)
    requests: list[InfillRequest] = field(default_factory=list)

    def run(self, request: InfillRequest) -> InfillResult:
        self.requests.append(request)
        infills = (self.answer,) * request.num_infills
        ends: tuple[FinishReason, ...] = tuple("end" for _ in infills)
        return InfillResult((Candidate("", infills, -1.0, -1.0, ends),))

    def score_infills(
        self, parts: Sequence[str], infills: Sequence[str | Sequence[str]], **_: Any
    ) -> list[Score]:
        self.read.append(tuple(parts))
        around = "\n".join(parts)
        return [
            Score(tuple(-1.0 if text in around else -5.0 for text in row), (1,) * len(row)) for row in infills
        ]

    def score(self, text: str, *, path: str | PurePath | None = None) -> Score:
        raise NotImplementedError

    def score_texts(self, texts: Sequence[str], *, path: str | PurePath | None = None) -> list[Score]:
        raise NotImplementedError

    def line_logprobs(self, text: str, *, path: str | PurePath | None = None) -> list[float]:
        raise NotImplementedError


@pytest.fixture
def model() -> EchoingModel:
    return EchoingModel()
