"""The interface of a model for editing, and a function that fills holes with it.

`incoder.load(…)` returns one; tests use a scripted one. Nothing here knows tokens or torch.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Protocol


class Filled(Protocol):
    """One way to fill all holes of a text (`incoder.results.Candidate`)."""

    @property
    def text(self) -> str: ...
    @property
    def infills(self) -> Sequence[str]: ...
    @property
    def logprob(self) -> float: ...
    @property
    def total_logprob(self) -> float: ...
    @property
    def finish_reasons(self) -> Sequence[str]: ...


class FillResult(Protocol):
    """All different ways that were found, the most probable first."""

    @property
    def candidates(self) -> Sequence[Filled]: ...


class TextScore(Protocol):
    """How probable a text is as a whole document, in natural logarithms."""

    @property
    def total_logprob(self) -> float: ...
    @property
    def mean_logprob(self) -> float: ...


class Model(Protocol):
    """A model that fills holes, writes on, and scores; `InfillModel` documents the settings."""

    def infill(
        self,
        parts: Sequence[str],
        *,
        num_candidates: int = ...,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int | None = ...,
        max_new_tokens: int = ...,
        seed: int = ...,
        stop: Sequence[str] = ...,
        time_limit: float | None = ...,
        path: PurePath | None = ...,
    ) -> FillResult: ...

    def complete(
        self,
        prompt: str,
        *,
        num_candidates: int = ...,
        temperature: float = ...,
        top_p: float = ...,
        top_k: int | None = ...,
        max_new_tokens: int = ...,
        seed: int = ...,
        stop: Sequence[str] = ...,
        time_limit: float | None = ...,
        path: PurePath | None = ...,
        allows_tags: bool = ...,
    ) -> FillResult: ...

    def score(self, text: str, *, path: PurePath | None = ...) -> TextScore: ...

    def score_texts(self, texts: Sequence[str], *, path: PurePath | None = ...) -> Sequence[TextScore]: ...

    def score_infills(
        self,
        parts: Sequence[str],
        infills: Sequence[Sequence[str]],
        *,
        path: PurePath | None = ...,
    ) -> Sequence[TextScore]: ...

    def line_logprobs(self, text: str, *, path: PurePath | None = ...) -> Sequence[float]: ...


@dataclass(frozen=True, slots=True)
class Decoding:
    """How candidates are written; `incoder.inference.sampling_params.SamplingParams` documents the values."""

    num_candidates: int = 1
    temperature: float = 0.2
    top_p: float = 0.95
    top_k: int | None = None
    max_new_tokens: int = 128
    seed: int = 0
    time_limit: float | None = None


def fill(
    model: Model,
    parts: Sequence[str],
    decoding: Decoding,
    *,
    stop: Sequence[str] = (),
    path: PurePath | None = None,
) -> Sequence[Filled]:
    """Ways to fill the holes between the parts, the most probable first."""
    return model.infill(parts, **asdict(decoding), stop=stop, path=path).candidates
