"""What editing, evaluation and servers need of a model: a Protocol without torch.

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
        """How probable a text is as a document of its own."""

    def score_texts(self, texts: Sequence[str], *, path: str | PurePath | None = None) -> Sequence[Score]:
        """`score` of every text."""

    def score_infills(
        self,
        parts: Sequence[str],
        infills: Sequence[str | Sequence[str]],
        **options: Unpack[PromptSettings],
    ) -> Sequence[Score]:
        """How probable each of these infills is, and that it ends there."""

    def line_logprobs(self, text: str, *, path: str | PurePath | None = None) -> Sequence[float]:
        """The mean log-probability of each line's tokens."""
