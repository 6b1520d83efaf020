"""What the server knows of a model: before it is loaded (a source), and while it is (a loaded model).

Two Protocols, so that a model on this machine and one on another server look the same to every dialect.
"""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from incoder.model_protocol import Model
from incoder.request import InfillRequest
from incoder.results import InfillResult, OnText, ShownPrompt
from incoder.tokenizer.text_tokenizer import TextTokenizer

T = TypeVar("T")
Note = Callable[[str], None]  # gets a line for the operator, such as what is loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """The facts of a model that need no loading; `num_bytes` is about the memory that it will take.

    `max_num_holes` is 0 for a model that only completes, 1 or more for one that infills, `num_tail_lines` the
    length of the prefix tails that it was trained with.
    """

    name: str
    context_length: int
    vocab_size: int
    infilling_format: str
    max_num_holes: int
    num_tail_lines: int = 0
    num_parameters: int | None = None
    num_bytes: int = 0
    path: str = ""
    licence: str | None = None


class Wait(Protocol):
    """Waits for a future in the thread of an editing job, and raises once the job is cancelled."""

    def __call__(self, future: Future[T]) -> T: ...


class LoadedModel(Protocol):
    """A model that answers requests. Its methods may be called from any thread."""

    @property
    def tokenizer(self) -> TextTokenizer | None:
        """The tokenizer; None if only another server has it."""

    @property
    def is_alive(self) -> bool:
        """Whether it can answer; if not, it is loaded again."""

    def submit(self, request: InfillRequest, on_text: OnText | None = None) -> Future[InfillResult]:
        """Queue a request; cancelling the future ends it, before its first token too.

        This may take a while (it encodes texts and looks at a project's files), so the server calls it in
        a thread.

        Raises:
            IncoderError: the model cannot answer this request.
        """

    def shown_prompt(self, request: InfillRequest) -> ShownPrompt:
        """Return the prompt that the model would read before the first infill. Nothing is computed.

        Raises:
            IncoderError: the model cannot answer this request.
        """

    def for_editing(self, wait: Wait) -> Model:
        """Return a model for the editing package; every call of it waits by `wait`."""

    def refresh_project(self, project: Path) -> None:
        """Bring the project memory of a folder up to date, for requests that name it. This may take a while.

        Raises:
            IncoderError: the folder cannot be listed.
        """

    def close(self) -> None:
        """Finish the running requests and free all memory."""


class ModelSource(Protocol):
    """A model that can be loaded."""

    @property
    def facts(self) -> ModelFacts:
        """Facts that need no loading."""

    def load(self, note: Note) -> LoadedModel:
        """Load the model, and run one request of each shape, so that the next ones are fast.

        Raises:
            IncoderError: it cannot be loaded.
        """
