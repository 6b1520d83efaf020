"""A model on this machine: its weights, and one `EngineWorker` that runs all its requests."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from incoder.inference.models.catalogue import ModelInfo
from incoder.model_protocol import Model
from incoder.request import InfillRequest
from incoder.results import InfillResult, OnText, ShownPrompt
from incoder.server.models.served_model import ModelFacts, Note, Wait
from incoder.server.models.warm_up import warm_up
from incoder.tokenizer.formats import max_num_holes

if TYPE_CHECKING:
    from incoder.inference.infill_model import InfillModel
    from incoder.inference.memory.project_memory import ProjectMemory
    from incoder.tokenizer.text_tokenizer import TextTokenizer


class LocalModel:
    """A loaded model and the engine that runs its requests, at most `max_active` at once."""

    def __init__(
        self, model: "InfillModel", max_active: int | None = None, projects: "Projects | None" = None
    ) -> None:
        from incoder.inference.engine.worker import EngineWorker

        self.model = model
        self._projects = projects or Projects()
        self._worker = EngineWorker(model.language_model, max_active)

    @property
    def tokenizer(self) -> "TextTokenizer":
        return self.model.tokenizer

    @property
    def is_alive(self) -> bool:
        return self._worker.is_alive

    def submit(self, request: InfillRequest, on_text: OnText | None = None) -> Future[InfillResult]:
        return self._worker.submit(self.model.generation(request, on_text=on_text))

    def shown_prompt(self, request: InfillRequest) -> ShownPrompt:
        return self.model.shown_prompt(request)

    def for_editing(self, wait: Wait) -> Model:
        return self.model.with_run(lambda generation: wait(self._worker.submit(generation)))

    def refresh_project(self, project: Path) -> None:
        self._projects.refresh(self.model, project)

    def close(self) -> None:
        self._worker.close()


@dataclass(slots=True)
class Projects:
    """The folders whose project memory a model keeps open, also when it is unloaded and loaded again."""

    folders: list[Path] = field(default_factory=list)
    cache_folder: Path | None = None
    _memories: dict[Path, "ProjectMemory"] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, model: "InfillModel", note: Note = lambda _: None) -> None:
        """Open the memories of all folders for a model that was just loaded."""
        self._memories.clear()
        for project in self.folders:
            note(f"looking at the files of {project}")
            self.refresh(model, project, note)

    def refresh(self, model: "InfillModel", project: Path, note: Note = lambda _: None) -> None:
        """Bring the memory of a folder up to date, which is opened if it was not.

        Raises:
            IncoderError: the folder cannot be listed.
        """
        with self._lock:
            if project not in self._memories:
                self._memories[project] = model.open_project(
                    project, cache_folder=self.cache_folder, on_note=note
                )
            if project not in self.folders:
                self.folders.append(project)
        self._memories[project].refresh()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSource:
    """A model that `load_model` loads, with the settings of its engine."""

    facts: ModelFacts
    load_model: Callable[[], "InfillModel"]
    max_active: int | None = None
    projects: Projects = field(default_factory=Projects)
    warms_up: bool = True

    def load(self, note: Note) -> LocalModel:
        """Load the model and compile what it needs, with a note for every step."""
        note(f"loading {self.facts.name}")
        model = self.load_model()
        self.projects.open(model, lambda line: note(f"{self.facts.name}: {line}"))
        loaded = LocalModel(model, self.max_active, self.projects)
        if self.warms_up:
            warm_up(loaded, self.facts, note)
        return loaded


def facts_from_files(info: ModelInfo, max_context: int | None = None) -> ModelFacts:
    """Return the facts of a model that is not loaded yet.

    >>> from incoder.inference.models.catalogue import describe_model
    >>> facts_from_files(describe_model("mini"), 512).context_length
    512
    """
    return ModelFacts(
        name=info.name,
        context_length=min(info.context_length, max_context or info.context_length),
        vocab_size=info.vocab_size,
        infilling_format=info.infilling_format,
        max_num_holes=max_num_holes(info.infilling_format),
        num_parameters=info.num_parameters,
        num_bytes=info.num_bytes,
        path=str(info.folder),
        licence=info.licence,
    )


def facts_of(name: str, model: "InfillModel") -> ModelFacts:
    """Return the facts of a model that is loaded already."""
    return ModelFacts(
        name=name,
        context_length=model.language_model.max_positions,
        vocab_size=model.tokenizer.vocab_size,
        infilling_format=model.infilling_format.name,
        max_num_holes=model.infilling_format.max_num_holes,
        num_tail_lines=model.num_tail_lines,
    )
