"""A model on other servers: `incoder serve --upstream URL` in front of vLLM and others.

The server keeps the dialects, prompts, windows, rules and ranking; only tokens come from the upstream. It is
asked for its model when this server starts, and again when it was unreachable. Imports no torch.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from incoder.inference.upstream.loading import load_upstream
from incoder.inference.upstream.model import UpstreamModel
from incoder.model_protocol import Model
from incoder.request import InfillRequest
from incoder.results import InfillResult, OnText, ShownPrompt
from incoder.server.models.served_model import LoadedModel, ModelFacts, Note, Wait
from incoder.tokenizer.text_tokenizer import TextTokenizer


class ServedUpstream:
    """A model on other servers, as the dialects see it."""

    is_alive = True  # its pool leaves failed servers out, and tries them again

    def __init__(self, model: UpstreamModel) -> None:
        self.model = model

    @property
    def tokenizer(self) -> TextTokenizer | None:
        """The model's tokenizer; None if only the upstream has it."""
        return None if self.model.counts_bytes else self.model.tokenizer

    def submit(self, request: InfillRequest, on_text: OnText | None = None) -> Future[InfillResult]:
        """Begin a request; cancelling the future closes it at the upstream.

        The project that the server adds to requests is for models on this machine only.
        """
        return self.model.submit(replace(request, project=None), on_text)

    def shown_prompt(self, request: InfillRequest) -> ShownPrompt:
        """Return the prompt; the upstream is not asked."""
        return self.model.shown_prompt(request)

    def for_editing(self, wait: Wait) -> Model:
        """Return the model, whose calls wait by `wait`."""
        return self.model.with_wait(wait)

    def refresh_project(self, project: Path) -> None:
        """Do nothing: project memory is for models on this machine only."""

    def close(self) -> None:
        """Close all connections."""
        self.model.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """The servers of one model; `incoder.load` explains the fields.

    >>> UpstreamSettings(urls=("http://127.0.0.1:8000/v1",)).model is None
    True
    """

    urls: Sequence[str]
    model: str | None = None
    api_key_file: Path | None = None
    tokenizer: Path | None = None
    infilling_format: str | None = None
    seconds: float = 60.0

    def load(self) -> UpstreamModel:
        """Return the model.

        Raises:
            IncoderError: no server answers, one refuses the key, or does not have the model.
        """
        return load_upstream(
            self.urls,
            model=self.model,
            api_key_file=self.api_key_file,
            tokenizer=self.tokenizer,
            infilling_format=self.infilling_format,
            seconds=self.seconds,
        )


class UpstreamSource:
    """A model on other servers as a source. Its facts come from the servers, so these must be running.

    Raises:
        IncoderError: as `UpstreamSettings.load` says.
    """

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings
        self._loaded: UpstreamModel | None = settings.load()
        model = self._loaded
        self.notes = model.notes
        self.facts = ModelFacts(
            name=model.name,
            context_length=model.context_length,
            vocab_size=0 if model.counts_bytes else model.tokenizer.vocab_size,
            infilling_format=model.infilling_format.name,
            max_num_holes=model.infilling_format.max_num_holes,
        )

    def load(self, note: Note) -> LoadedModel:
        """Return the model; nothing is loaded here, and nothing needs a warm-up."""
        for one in self.notes:
            note(one)
        model, self._loaded = self._loaded, None
        return ServedUpstream(self._settings.load() if model is None else model)
