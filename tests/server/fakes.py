"""Models that answer when a test lets them, without a network."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from incoder.errors import IncoderError
from incoder.model_protocol import Model
from incoder.request import InfillRequest
from incoder.results import Candidate, InfillResult, OnText, ShownPrompt
from incoder.server.models.served_model import ModelFacts, Note, Wait


def facts(name: str, num_bytes: int = 0) -> ModelFacts:
    return ModelFacts(
        name=name,
        context_length=256,
        vocab_size=512,
        infilling_format="causal-masking",
        max_num_holes=255,
        num_bytes=num_bytes,
    )


def result(text: str) -> InfillResult:
    return InfillResult((Candidate(text, (text,), -1.0, -1.0, ("end",), ((),)),))


@dataclass
class FakeModel:
    """Keeps the futures of its requests; with `answer` set, they have their result at once."""

    answer: Callable[[InfillRequest], str] | None = None
    is_alive: bool = True
    is_closed: bool = False
    tokenizer: None = None
    futures: list[Future[InfillResult]] = field(default_factory=list)
    requests: list[InfillRequest] = field(default_factory=list)
    refreshed: list[Path] = field(default_factory=list)
    submitted: threading.Event = field(default_factory=threading.Event)

    def submit(self, request: InfillRequest, on_text: OnText | None = None) -> Future[InfillResult]:
        future: Future[InfillResult] = Future()
        del on_text  # the fakes write no text before their result
        self.requests.append(request)
        self.futures.append(future)
        if self.answer is not None:
            future.set_result(result(self.answer(request)))
        self.submitted.set()
        return future

    def shown_prompt(self, request: InfillRequest) -> ShownPrompt:
        raise IncoderError(f"a fake has no tokenizer to write a prompt of {request} with")

    def for_editing(self, wait: Wait) -> Model:
        raise IncoderError(f"a fake edits nothing, and waits for nothing by {wait}")

    def refresh_project(self, project: Path) -> None:
        self.refreshed.append(project)

    def close(self) -> None:
        self.is_closed = True


@dataclass
class FakeSource:
    """Loads a new `FakeModel` each time; `loaded` has all of them."""

    facts: ModelFacts
    answer: Callable[[InfillRequest], str] | None = None
    loaded: list[FakeModel] = field(default_factory=list)
    failure: Exception | None = None

    def load(self, note: Note) -> FakeModel:
        note(f"loading {self.facts.name}")
        if self.failure is not None:
            raise self.failure
        self.loaded.append(FakeModel(self.answer))
        return self.loaded[-1]
