"""The Protocol of a model, for editing, evaluation and servers. Imports no torch.

`incoder.load(…)` returns such a model (`InfillModel`); tests use one that follows a script.
"""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Protocol, Unpack

from incoder.request import InfillRequest
from incoder.request_settings import PromptSettings
from incoder.results import InfillResult, Score


class Model(Protocol):
    """A model that answers requests and scores texts; `InfillModel` documents each call."""

    def run(self, request: InfillRequest) -> InfillResult:
        """Fill the holes of a request, or complete its text."""

    def score(self, text: str, *, path: str | PurePath | None = None) -> Score:
        """Return the log-probability of a text as a document of its own."""

    def score_texts(self, texts: Sequence[str], *, path: str | PurePath | None = None) -> Sequence[Score]:
        """Return the `score` of every text."""

    def score_infills(
        self,
        parts: Sequence[str],
        infills: Sequence[str | Sequence[str]],
        **options: Unpack[PromptSettings],
    ) -> Sequence[Score]:
        """Return the log-probability of each of these infills, its end included."""

    def line_logprobs(self, text: str, *, path: str | PurePath | None = None) -> Sequence[float]:
        """Return the mean log-probability of each line's tokens."""
