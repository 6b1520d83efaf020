"""A loaded model: runs requests, and scores given texts. The entry point for users.

Combines prompts, project memory, infilling and scoring. Reads no files itself, and knows no networks.
"""

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Protocol, TypeVar, Unpack

import torch

import incoder
from incoder import arguments
from incoder.document import Parts
from incoder.errors import IncoderError
from incoder.inference.infilling import Infilling
from incoder.inference.language_model import Generation, LanguageModel, run_alone
from incoder.inference.memory.mixing import DEFAULT_WEIGHTS, MixingWeights
from incoder.inference.memory.prior import NextTokenPrior
from incoder.inference.memory.project_memories import ProjectMemories
from incoder.inference.memory.project_memory import ProjectMemory
from incoder.inference.prompting_model import PromptingModel
from incoder.inference.scored_rows import mean_by_line
from incoder.inference.scoring import score_infills, score_long_text, score_rows
from incoder.inference.vocabulary import Vocabulary
from incoder.request import InfillRequest, prompt_options
from incoder.request_settings import PromptSettings
from incoder.results import InfillResult, OnInfill, OnText, Score
from incoder.tokenizer.formats import InfillingFormat
from incoder.tokenizer.text_tokenizer import TextTokenizer

T = TypeVar("T")


class Run(Protocol):
    """A function that runs generation coroutines: alone, or by an engine together with others."""

    def __call__(self, generation: Generation[T]) -> T:
        """Run the coroutine to its end; return its result."""


class InTurn:
    """Runs coroutines alone, one after the other: calls from several threads wait for each other."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a callback may call the model that called it

    def __call__(self, generation: Generation[T]) -> T:
        with self._lock, torch.inference_mode():
            return run_alone(generation)


class InfillModel(PromptingModel):
    """Fills holes, completes and scores. Made by `incoder.load`.

    Calls from several threads are safe: they queue, and run one after the other. `run` may be another way to
    run generation coroutines, such as `EngineWorker.run`, which runs many at once in a thread of its own.
    `infill` writes `num_candidates` unless it is given a number. A model is pickled as the arguments of
    `incoder.load` (`source`), and unpickling loads it again.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        tokenizer: TextTokenizer,
        infilling_format: InfillingFormat | None = None,
        num_tail_lines: int = 0,
        source: Mapping[str, Any] | None = None,
        run: Run | None = None,
        memory_weights: MixingWeights = DEFAULT_WEIGHTS,
        num_candidates: int = 1,
    ) -> None:
        self._vocabulary = Vocabulary(tokenizer, infilling_format)
        super().__init__(self._vocabulary, language_model.max_positions, num_tail_lines, num_candidates)
        self.language_model = language_model
        self._source = source
        self._run: Run = InTurn() if run is None else run
        self._memories = ProjectMemories(tokenizer, memory_weights, self._vocabulary.end_ids)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._source is None:
            raise IncoderError(
                "an InfillModel is pickled as the arguments of incoder.load, and this one was made from its "
                "parts; save them with save_checkpoint, then load that folder"
            )
        return partial(incoder.load, **self._source), ()

    def with_run(self, run: Run) -> "InfillModel":
        """Return the same model with another way to run its generation coroutines.

        >>> from incoder import EngineWorker
        >>> with EngineWorker(model.language_model) as worker:
        ...     other = model.with_run(worker.run)
        ...     other.complete("x =", max_new_tokens=1).usage.num_completion_tokens
        1
        """
        other = object.__new__(type(self))  # copy() would load the model again, by `__reduce__`
        other.__dict__.update(self.__dict__, _run=run)
        return other

    def open_project(
        self,
        root: str | os.PathLike[str],
        *,
        cache_folder: str | os.PathLike[str] | None = None,
        hidden_files: Collection[str | PurePath] = (),
        on_note: Callable[[str], None] = lambda _: None,
    ) -> ProjectMemory:
        """Open the memory of the project in the folder `root`, for all requests that name it.

        The index is read from `cache_folder` and stored there; without one it is kept in memory. The saved
        versions of `hidden_files` are not looked at, and neither is that of a request's own `path`. `on_note`
        gets messages for the user, such as that the index cannot be stored. The files are looked at when the
        memory is first used, and again whenever `refresh` is called. A request may also name a project that
        was not opened: its index is kept in memory, and its files are looked at for every request.

        >>> memory = model.open_project(".")
        >>> memory.root.is_dir()
        True
        """
        return self._memories.open(
            Path(root), cache_folder=cache_folder, hidden_files=hidden_files, on_note=on_note
        )

    def run(
        self,
        request: InfillRequest,
        *,
        on_infill: OnInfill | None = None,
        on_text: OnText | None = None,
    ) -> InfillResult:
        """Answer a request. `infill` and `complete` make requests of their arguments.

        Raises:
            IncoderError: as `generation` says.

        >>> request = InfillRequest.from_settings("x = <FILL>\\n", max_new_tokens=4)
        >>> len(model.run(request).candidates)
        1
        """
        return self._run(self.generation(request, on_infill=on_infill, on_text=on_text))

    def generation(
        self,
        request: InfillRequest,
        *,
        on_infill: OnInfill | None = None,
        on_text: OnText | None = None,
    ) -> Generation[InfillResult]:
        """Return the generation coroutine of a request, for an `Engine` to run beside others.

        `on_infill(done, total)` is called after every infill of every candidate, and `on_text(piece)` with
        the text as it is written, with the line ends that the model writes. The time limit counts from the
        first step.

        Raises:
            IncoderError: a request without a text; holes for a model that only completes; other files without
                a path; attributes for a model that was trained without them; an id that no token has; or a
                project that cannot be listed.
        """
        return self._infilling(request, on_infill, on_text, self._prior(request)).run()

    def score(self, text: str, *, path: str | PurePath | None = None) -> Score:
        """Return the log-probabilities of `text` as a document of its own.

        The text starts as `complete` starts one: with the family's start token, if it has one. Without such a
        token the first token of the text has no log-probability, since nothing is before it. A text longer
        than the context is read in windows that overlap by half, so every token after the first half window
        has at least half a window before it.

        >>> model.score("x = 1\\n").num_tokens > 0
        True
        """
        before = self._before_document(path)
        token_ids = [*before, *self._encode_document(arguments.text("text", text))]
        logprobs = self._run(score_long_text(self.language_model, token_ids))
        return Score(tuple(logprobs[max(0, len(before) - 1) :]))

    def line_logprobs(self, text: str, *, path: str | PurePath | None = None) -> tuple[float, ...]:
        """Return the mean log-probability of each line's tokens in `score`; 0 for a line without tokens.

        A token that reaches into the next line counts for the line in which it begins; `\\n` ends a line.

        >>> len(model.line_logprobs("x = 1\\ny = 2"))
        2
        """
        logprobs = self.score(text, path=path).token_logprobs
        return mean_by_line(text, self._encode_document(text), logprobs, self.tokenizer)

    def score_texts(self, texts: Sequence[str], *, path: str | PurePath | None = None) -> tuple[Score, ...]:
        """Return the `score` of every text; a shared prefix is computed once if all fit into the context.

        >>> one, other = model.score_texts(["x = 1\\n", "x = \\x07\\n"])
        >>> one.total_logprob > other.total_logprob
        True
        """
        before = self._before_document(path)
        rows = [[*before, *self._encode_document(text)] for text in arguments.texts("texts", texts)]
        num_given = max(1, len(before))
        lengths = [len(row) for row in rows]
        starts_equal = len({tuple(row[:num_given]) for row in rows}) == 1
        if not starts_equal or min(lengths) <= num_given or max(lengths) > self.language_model.max_positions:
            return tuple(self.score(text, path=path) for text in texts)
        found = self._run(score_rows(self.language_model, rows, num_given))
        return tuple(Score(tuple(logprobs)) for logprobs in found)

    def score_infills(
        self,
        parts: str | Parts | Sequence[str],
        infills: Sequence[str | Sequence[str]],
        **options: Unpack[PromptSettings],
    ) -> tuple[Score, ...]:
        """Return the log-probabilities of each of `infills`, their ends included.

        Each is the text of the only hole, or one text for every hole; the options are the fields of
        `PromptOptions`. A shared prefix is computed once. The same tokens count as in a candidate's
        log-probability, including the required prefix (token healing) and the end tokens.

        Raises:
            IncoderError: no hole, not one text for every hole, a model that only completes, or a text that is
                too long.

        >>> one, other = model.score_infills("def f(x):\\n    return <FILL>\\n", ["x", "quux"])
        >>> one.mean_logprob > other.mean_logprob
        True
        """
        texts, given = self._infills_to_score(parts, infills)
        if not given:
            return ()
        longest = max(len(self.tokenizer.encode(text)) for one in given for text in one)
        prompter = self._prompter(prompt_options(**options), longest)
        return tuple(self._run(score_infills(self.language_model, prompter, texts, given)))

    def _infilling(
        self,
        request: InfillRequest,
        on_infill: OnInfill | None = None,
        on_text: OnText | None = None,
        prior: NextTokenPrior | None = None,
    ) -> Infilling:
        self._check(request)
        return Infilling(
            self.language_model,
            self._vocabulary,
            self._prompter(request.prompt, request.sampling.max_new_tokens),
            request,
            allows_tags=request.allows_tags or not self.infilling_format.reads_attributes,
            prior=prior,
            on_infill=on_infill,
            on_text=on_text,
        )

    def _prior(self, request: InfillRequest) -> NextTokenPrior | None:
        if request.project is None:
            return None
        return self._memories.prior(Path(request.project), request.parts, request.prompt.path)
