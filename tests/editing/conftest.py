"""A model whose fills are written down beforehand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Unpack

import pytest

from incoder.request import InfillRequest
from incoder.request_settings import PromptSettings
from incoder.results import Candidate, FinishReason, InfillResult, Score


@dataclass
class ScriptedModel:
    """Answers each call with the next of its answers: ways to fill the holes, the most probable first.

    A way that is one string fills every hole. Stops end fills as a real model's. It keeps what it was asked.
    Of infills whose probability is asked, the first given is less probable than the others, which come in
    order, and `least_probable` ones are less probable still.
    """

    answers: list[Sequence[str | Sequence[str]]]
    least_probable: tuple[str, ...] = ()
    asked: list[list[str]] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)

    def run(self, request: InfillRequest) -> InfillResult:
        parts, stop = request.parts, request.sampling.stop
        self.asked.append(list(parts))
        self.settings.append(
            {"stop": stop, "num_candidates": request.num_candidates, "seed": request.sampling.seed}
        )
        if len(parts) == 1:
            return self._next(1, lambda infills: parts[0] + infills[0], stop)
        return self._next(len(parts) - 1, lambda infills: _joined(parts, infills), stop)

    def score(self, text: str, *, path: str | PurePath | None = None) -> Score:
        del path
        return Score((-1.0,) * len(text))

    def score_texts(self, texts: Sequence[str], *, path: str | PurePath | None = None) -> list[Score]:
        return [self.score(text, path=path) for text in texts]

    def line_logprobs(self, text: str, *, path: str | PurePath | None = None) -> list[float]:
        del path
        return [-1.0] * (text.count("\n") + 1)

    def score_infills(
        self,
        parts: Sequence[str],
        infills: Sequence[str | Sequence[str]],
        **options: Unpack[PromptSettings],
    ) -> list[Score]:
        del options
        assert all(len(fills) == len(parts) - 1 for fills in infills)
        ranks = [-90.0, *(-float(index) for index in range(1, len(infills)))]
        ranks = [
            rank - 100 * (fills[0] in self.least_probable) for rank, fills in zip(ranks, infills, strict=True)
        ]
        return [Score((rank / len(parts),) * len(parts)) for rank in ranks]

    def _next(
        self, num_holes: int, join: Callable[[Sequence[str]], str], stop: Sequence[str]
    ) -> InfillResult:
        written = []
        for rank, way in enumerate(self.answers.pop(0), start=1):
            infills = (way,) * num_holes if isinstance(way, str) else tuple(way)
            assert len(infills) == num_holes
            ended = tuple(_ended(infill, stop) for infill in infills)
            reasons: tuple[FinishReason, ...] = tuple("end" for _ in ended)
            written.append(Candidate(join(ended), ended, -float(rank), -10.0 * rank, reasons))
        return InfillResult(tuple(written))


@pytest.fixture(scope="session")
def scripted() -> Callable[..., ScriptedModel]:
    return lambda *answers, **settings: ScriptedModel(list(answers), **settings)


def _ended(infill: str, stop: Sequence[str]) -> str:
    return infill[: min((infill.find(text) for text in stop if text in infill), default=len(infill))]


def _joined(parts: Sequence[str], infills: Sequence[str]) -> str:
    return parts[0] + "".join(infill + part for infill, part in zip(infills, parts[1:], strict=True))
