"""A model on other servers, as its users see it: the calls of `InfillModel` without its weights.

Imports no torch.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import PurePath
from typing import Any, Protocol, TypeVar, Unpack

import incoder
from incoder import arguments
from incoder.document import Parts
from incoder.errors import IncoderError
from incoder.inference.prompting_model import PromptingModel
from incoder.inference.prompts.prompter import Prompter
from incoder.inference.scored_rows import infill_rows, mean_by_line
from incoder.inference.text_vocabulary import TextVocabulary
from incoder.inference.upstream.event_loop import EventLoop
from incoder.inference.upstream.infilling import UpstreamInfilling
from incoder.inference.upstream.marked_text import BYTES_PER_TOKEN, ByteTokenizer
from incoder.inference.upstream.scoring import Scorer
from incoder.inference.upstream.servers import UpstreamServers
from incoder.request import InfillRequest, PromptOptions, prompt_options
from incoder.request_settings import PromptSettings
from incoder.results import InfillResult, OnInfill, OnText, Score

T = TypeVar("T")


class Wait(Protocol):
    """Waits for a future, and returns its result."""

    def __call__(self, future: Future[T]) -> T: ...


class UpstreamModel(PromptingModel):
    """Fills holes, completes and scores by the servers of one model. Made by `incoder.load("http://…")`.

    Prompts, windows, stopping rules, ranking and the order of holes are as for a model on this machine; only
    the tokens come from elsewhere. Calls from several threads run side by side. `notes` says, a line each,
    what the servers cannot do. Close the model, or use it in a `with` block; it closes by itself when it is
    garbage collected. A model is pickled as the arguments of `incoder.load`.
    """

    chooses_ends = False
    makes_branches = False

    def __init__(
        self,
        servers: UpstreamServers,
        loop: EventLoop,
        vocabulary: TextVocabulary,
        context_length: int,
        *,
        name: str,
        num_tail_lines: int = 0,
        notes: Sequence[str] = (),
        source: dict[str, Any] | None = None,
    ) -> None:
        self.counts_bytes = isinstance(vocabulary.tokenizer, ByteTokenizer)
        scale = BYTES_PER_TOKEN if self.counts_bytes else 1
        super().__init__(vocabulary, context_length * scale, num_tail_lines)
        self.name = name
        self.context_length = context_length
        self.notes = tuple(notes)
        self.servers = servers
        self._loop = loop
        self._scorer = Scorer(servers, vocabulary, self.max_positions)
        self._source = source
        self._wait: Wait | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(incoder.load, **(self._source or {})), ()

    def __enter__(self) -> "UpstreamModel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        request: InfillRequest,
        *,
        on_infill: OnInfill | None = None,
        on_text: OnText | None = None,
    ) -> InfillResult:
        """Answer a request. The callbacks run in a thread of the model's own.

        If waiting is interrupted (Ctrl-C), the requests to the servers are closed.

        Raises:
            IncoderError: a request that these servers cannot answer, or all of them fail.
        """
        return self._run(self._infilling(request, on_infill, on_text).run())

    def submit(
        self,
        request: InfillRequest,
        on_text: OnText | None = None,
        *,
        on_infill: OnInfill | None = None,
    ) -> Future[InfillResult]:
        """Begin a request; the future has its result or its error, and cancelling it closes the request.

        Raises:
            IncoderError: a request that these servers cannot answer.
        """
        return self._loop.submit(self._infilling(request, on_infill, on_text).run())

    def score(self, text: str, *, path: str | PurePath | None = None) -> Score:
        """Return the log-probabilities of a text as a document of its own, as `InfillModel.score` does.

        Raises:
            IncoderError: the servers return no log-probabilities of given tokens.
        """
        return self.score_texts([text], path=path)[0]

    def score_texts(self, texts: Sequence[str], *, path: str | PurePath | None = None) -> tuple[Score, ...]:
        """Return the `score` of every text.

        Raises:
            IncoderError: as `score` says.
        """
        before = self._before_document(path)
        rows = [[*before, *self._encode_document(text)] for text in arguments.texts("texts", texts)]
        found = self._run(self._score_long_texts(rows))
        return tuple(Score(tuple(one[max(0, len(before) - 1) :])) for one in found)

    def line_logprobs(self, text: str, *, path: str | PurePath | None = None) -> tuple[float, ...]:
        """Return the mean log-probability of each line's tokens in `score`; 0 for a line without tokens.

        Raises:
            IncoderError: as `score` says.
        """
        logprobs = self.score(text, path=path).token_logprobs
        return mean_by_line(text, self._encode_document(text), logprobs, self.tokenizer)

    def score_infills(
        self,
        parts: str | Parts | Sequence[str],
        infills: Sequence[str | Sequence[str]],
        **options: Unpack[PromptSettings],
    ) -> tuple[Score, ...]:
        """Return the log-probabilities of each of these infills, as `InfillModel.score_infills` does.

        Raises:
            IncoderError: as `score` says; no hole, not one text for every hole, or a text that is too long.
        """
        texts, given = self._infills_to_score(parts, infills)
        if not given:
            return ()
        longest = max(len(self.tokenizer.encode(text)) for one in given for text in one)
        prompter = self._prompter(prompt_options(**options), longest)
        return tuple(self._run(self._scorer.answer(infill_rows(prompter, texts, given))))

    def with_wait(self, wait: Wait) -> "UpstreamModel":
        """Return the same model; its calls wait for their futures by `wait`, which may cancel them."""
        other = object.__new__(type(self))  # copy() would ask the servers again, by `__reduce__`
        other.__dict__.update(self.__dict__, _wait=wait)
        return other

    def close(self) -> None:
        """Cancel the requests that are left, and close all connections."""
        if self._loop.is_open:
            self._loop.run(self.servers.close())
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(work) if self._wait is None else self._wait(self._loop.submit(work))

    async def _score_long_texts(self, rows: Sequence[Sequence[int]]) -> list[list[float]]:
        return list(await asyncio.gather(*map(self._scorer.score_long_text, rows)))

    def _infilling(
        self, request: InfillRequest, on_infill: OnInfill | None, on_text: OnText | None
    ) -> UpstreamInfilling:
        self._check(request)
        if request.sampling.num_beams > 1:
            raise IncoderError("a model on another server samples; num_beams must be 1 there")
        if request.project is not None:
            raise IncoderError(
                "project memory changes a model's distribution, which a model on another server does not "
                "show; leave the project out"
            )
        return UpstreamInfilling(
            self.servers,
            self._scorer,
            self._prompter(request.prompt, request.sampling.max_new_tokens),
            request,
            counts_bytes=self.counts_bytes,
            allows_tags=request.allows_tags or not self.infilling_format.reads_attributes,
            on_infill=on_infill,
            on_text=on_text,
        )

    def _prompter(self, options: PromptOptions, max_new_tokens: int) -> Prompter:
        scale = BYTES_PER_TOKEN if self.counts_bytes else 1
        return super()._prompter(options, max_new_tokens * scale)
