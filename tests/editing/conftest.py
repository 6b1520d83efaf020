"""A model whose fills are written down beforehand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import pytest


@dataclass(frozen=True)
class Written:
    text: str
    infills: tuple[str, ...]
    logprob: float
    total_logprob: float
    finish_reasons: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    candidates: tuple[Written, ...]


@dataclass(frozen=True)
class Scored:
    total_logprob: float
    mean_logprob: float


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

    def infill(self, parts: Sequence[str], *, stop: Sequence[str] = (), **settings: Any) -> Result:
        self.asked.append(list(parts))
        self.settings.append({"stop": tuple(stop), **settings})
        return self._next(len(parts) - 1, lambda infills: _joined(parts, infills), stop)

    def complete(self, prompt: str, *, stop: Sequence[str] = (), **settings: Any) -> Result:
        self.asked.append([prompt])
        self.settings.append({"stop": tuple(stop), **settings})
        return self._next(1, lambda infills: prompt + infills[0], stop)

    def score(self, text: str, *, path: PurePath | None = None) -> Scored:
        del path
        return Scored(-float(len(text)), -1.0)

    def score_infills(
        self, parts: Sequence[str], infills: Sequence[Sequence[str]], *, path: PurePath | None = None
    ) -> list[Scored]:
        del path
        assert all(len(fills) == len(parts) - 1 for fills in infills)
        ranks = [-90.0, *(-float(index) for index in range(1, len(infills)))]
        ranks = [
            rank - 100 * (fills[0] in self.least_probable) for rank, fills in zip(ranks, infills, strict=True)
        ]
        return [Scored(rank, rank / len(parts)) for rank in ranks]

    def _next(self, num_holes: int, join: Callable[[Sequence[str]], str], stop: Sequence[str]) -> Result:
        written = []
        for rank, way in enumerate(self.answers.pop(0), start=1):
            infills = (way,) * num_holes if isinstance(way, str) else tuple(way)
            assert len(infills) == num_holes
            ended = tuple(_ended(infill, stop) for infill in infills)
            written.append(Written(join(ended), ended, -float(rank), -10.0 * rank, ("end",) * num_holes))
        return Result(tuple(written))


@pytest.fixture(scope="session")
def scripted() -> Callable[..., ScriptedModel]:
    return lambda *answers, **settings: ScriptedModel(list(answers), **settings)


def _ended(infill: str, stop: Sequence[str]) -> str:
    return infill[: min((infill.find(text) for text in stop if text in infill), default=len(infill))]


def _joined(parts: Sequence[str], infills: Sequence[str]) -> str:
    return parts[0] + "".join(infill + part for infill, part in zip(infills, parts[1:], strict=True))
