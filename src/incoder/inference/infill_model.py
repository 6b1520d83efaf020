"""A loaded model: runs requests, and scores given texts. The entry point for users.

Combines prompts, project memory, infilling and scoring. Reads no files itself, and knows no networks.
"""

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
from incoder.inference.prompts.line_endings import as_model_sees
from incoder.inference.prompts.other_files import as_comments, fitting
from incoder.inference.prompts.prompter import Prompter, infill_budget
from incoder.inference.scoring import score_infills, score_long_text, score_rows
from incoder.inference.vocabulary import Vocabulary
from incoder.infill_defaults import with_infill_defaults
from incoder.request import InfillRequest, PromptOptions, parts_of, prompt_options
from incoder.request_settings import PromptSettings, RequestSettings, warn_renamed
from incoder.results import InfillResult, OnInfill, OnText, Score, ShownPrompt
from incoder.tags import opening_tag
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


class InfillModel:
    """Fills holes, completes and scores. Made by `incoder.load`.

    Calls from several threads are safe: they queue, and run one after the other. `run` may be another way to
    run generation coroutines, such as `EngineWorker.run`, which runs many at once in a thread of its own.
    `infill` draws `num_candidates` unless it is given a number. A model is pickled as the arguments of
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
        self.language_model = language_model
        self.tokenizer = tokenizer
        self.num_tail_lines = num_tail_lines
        self.num_candidates = num_candidates
        self._source = source
        self._run: Run = InTurn() if run is None else run
        self._vocabulary = Vocabulary(tokenizer, infilling_format)
        self._memories = ProjectMemories(tokenizer, memory_weights, self._vocabulary.end_ids)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._source is None:
            raise IncoderError(
                "an InfillModel is pickled as the arguments of incoder.load, and this one was made from its "
                "parts; save them with save_checkpoint, then load that folder"
            )
        return partial(incoder.load, **self._source), ()

    @property
    def infilling_format(self) -> InfillingFormat:
        """The format in which this model reads the holes of a text."""
        return self._vocabulary.layout

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

    def infill(
        self,
        parts: str | Parts | Sequence[str],
        *,
        on_infill: OnInfill | None = None,
        on_text: OnText | None = None,
        on_fill: OnInfill | None = None,
        **settings: Unpack[RequestSettings],
    ) -> InfillResult:
        """Fill every hole between two parts, or at each `<FILL>` of a string.

        Holes are filled in order, and later ones see the earlier infills. The model reads a window around the
        holes of a long text; the result has the whole text. Infills get the text's line ends. The settings
        are the fields of `SamplingParams`, `PromptOptions` and `InfillRequest`, which explain them.
        `on_infill(done, total)` is called after every infill of every candidate, and `on_text(piece)` with
        the text as it is written.

        For a single hole, `num_candidates` of the model are drawn unless a number is given, at a temperature
        of 0.8 unless one is given: as many as measured best for models of its size. At temperature 0, in a
        beam search, for several holes and with `on_text` it is one candidate. Several candidates are ranked
        by "syntax"; with `on_text` by "mean".

        Keys and values stay in the cache: if the next call's prompt has the same prefix, only its other
        tokens are computed.

        Raises:
            IncoderError: no hole, a model that only completes, or a setting outside of its range.
            TypeError: no setting has this name.

        >>> result = model.infill("def mean(xs):\\n    return <FILL>\\n", temperature=0, max_new_tokens=16)
        >>> result.text == "def mean(xs):\\n    return " + result.infills[0] + "\\n"
        True
        """
        if on_fill is not None:
            warn_renamed("on_fill", "on_infill")
            on_infill = on_fill
        texts = parts_of(parts)
        if on_text is None:
            settings = with_infill_defaults(settings, self.num_candidates, len(texts) - 1)
        request = InfillRequest.from_settings(texts, **settings)
        if len(texts) < 2:
            raise IncoderError(
                "nothing to fill: the text has no hole; mark one with <FILL>, or give two parts or more"
            )
        return self.run(request, on_infill=on_infill, on_text=on_text)

    def complete(
        self, prompt: str, *, on_text: OnText | None = None, **settings: Unpack[RequestSettings]
    ) -> InfillResult:
        """Continue `prompt` left to right, with the settings of `infill`.

        The completion is the only infill of the result, whose `text` is the prompt with it. Unless the
        setting `allows_tags` is true, it ends before the tags of training documents (tags.py) and never
        begins with one.

        Raises:
            IncoderError: a setting outside of its range, or attributes for a model that knows none.
            TypeError: no setting has this name.

        >>> model.complete("def hello(", max_new_tokens=4).text.startswith("def hello(")
        True
        """
        request = InfillRequest.from_settings([arguments.text("prompt", prompt)], **settings)
        return self.run(request, on_text=on_text)

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

    def shown_prompt(self, request: InfillRequest) -> ShownPrompt:
        """Return the text that the model reads before the first infill of this request.

        Raises:
            IncoderError: as `generation` says.

        >>> model.shown_prompt(InfillRequest.from_settings("x = <FILL>\\n")).num_tokens > 0
        True
        """
        return self._infilling(request).shown_prompt()

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
        token_ids = self._encode_document(text)
        lines: list[list[float]] = [[] for _ in range(text.count("\n") + 1)]
        # The first token has no log-probability if nothing precedes it.
        num_unscored = len(token_ids) - len(logprobs)
        line = self.tokenizer.decode_bytes(token_ids[:num_unscored]).count(b"\n")
        for token_id, logprob in zip(token_ids[num_unscored:], logprobs, strict=True):
            lines[line].append(logprob)
            line += self.tokenizer.token_bytes(token_id).count(b"\n")
        return tuple(sum(values) / max(1, len(values)) for values in lines)

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
        texts = parts_of(parts)
        if isinstance(infills, str):
            raise IncoderError("infills must be a sequence with the infills of each candidate, got a string")
        given = [arguments.texts("infills", [one] if isinstance(one, str) else one) for one in infills]
        if len(texts) < 2:
            raise IncoderError("nothing to score: the text has no hole; mark one with <FILL>")
        for one in given:
            if len(one) != len(texts) - 1:
                raise IncoderError(f"there are {len(texts) - 1} holes, got {len(one)} infills for them")
        self._check_infills()
        if not given:
            return ()
        seen = as_model_sees(texts)
        seen_infills = [list(as_model_sees(one)) for one in given]
        longest = max(len(self.tokenizer.encode(text)) for one in seen_infills for text in one)
        prompter = self._prompter(prompt_options(**options), longest)
        found = self._run(score_infills(self.language_model, prompter, seen, seen_infills))
        return tuple(Score(tuple(logprobs)) for logprobs in found)

    def shown_files(
        self,
        other_files: Mapping[str, str],
        path: str | PurePath | None,
        *,
        max_new_tokens: int = 128,
        repository: str = "project",
    ) -> dict[str, str]:
        """Return the other files, or their beginnings, that `infill` shows before the text at `path`.

        They get half of the context that an infill leaves.

        Raises:
            IncoderError: no path.

        >>> model.shown_files({"b.py": "y = 2\\n"}, "a.py")
        {'b.py': 'y = 2\\n'}
        """
        if path is None:
            raise IncoderError("other_files need a path for the text with the holes")

        def cost(files: Mapping[str, str]) -> int:
            context, header = self._context(files, path, repository)
            return len(context) + len(self.tokenizer.encode(header))

        max_positions = self.language_model.max_positions
        budget = (max_positions - infill_budget(max_new_tokens, max_positions)) // 2
        return fitting({name: as_model_sees([text])[0] for name, text in other_files.items()}, budget, cost)

    def check_attributes(self) -> None:
        """Raise unless the model was trained on documents with their attributes.

        Raises:
            IncoderError: it was not.

        >>> model.check_attributes()
        """
        if not self.infilling_format.reads_attributes:
            raise IncoderError("this model was not trained on attributes of files; InCoder's models are")

    def _check_infills(self) -> None:
        if not self.infilling_format.max_num_holes:
            raise IncoderError(
                "the vocabulary of this model has no fill-in-the-middle tokens; it can complete, not infill"
            )

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

    def _check(self, request: InfillRequest) -> None:
        """Raise if the model cannot answer this request."""
        if not request.parts and request.prompt_ids is None:
            raise IncoderError("the request has no text: give it parts or prompt_ids")
        if len(request.parts) > 1:
            self._check_infills()
        self._check_token_ids("logit_bias", request.sampling.logit_bias)
        self._check_token_ids("allowed_first_ids", request.sampling.allowed_first_ids or ())
        self._check_token_ids("prompt_ids", request.prompt_ids or ())
        if request.prompt.attributes:
            self.check_attributes()

    def _check_token_ids(self, name: str, token_ids: Iterable[int]) -> None:
        for token_id in token_ids:
            if not 0 <= token_id < self.tokenizer.vocab_size:
                raise IncoderError(
                    f"{name} is for token ids in [0, {self.tokenizer.vocab_size}), got one for {token_id}"
                )

    def _prompter(self, options: PromptOptions, max_new_tokens: int) -> Prompter:
        header, context = self._header(options.path, options.attributes), list[int]()
        if options.other_files:
            shown = self.shown_files(
                options.other_files,
                options.path,
                max_new_tokens=max_new_tokens,
                repository=options.repository,
            )
            assert options.path is not None
            context, header = self._context(shown, options.path, options.repository)
        chosen = options.num_tail_lines
        return Prompter(
            self._vocabulary,
            self.language_model.max_positions,
            max_new_tokens,
            header=header,
            context=context,
            num_tail_lines=self.num_tail_lines if chosen is None else chosen,
            marks_tails=self.num_tail_lines > 0,
            token_healing=options.token_healing,
        )

    def _before_document(self, path: str | PurePath | None) -> list[int]:
        start = self.infilling_format.document_start_id
        return [*([] if start is None else [start]), *self.tokenizer.encode(self._header(path))]

    def _encode_document(self, text: str) -> list[int]:
        return self.tokenizer.encode_start(*as_model_sees([text]))

    def _header(self, path: str | PurePath | None, attributes: Mapping[str, str] | None = None) -> str:
        return attribute_header(path, attributes) if self.infilling_format.reads_attributes else ""

    def _context(
        self, files: Mapping[str, str], path: str | PurePath, repository: str
    ) -> tuple[list[int], str]:
        """Return the other files before the text at `path`, as tokens and as text after them."""
        path, header = PurePath(path), self._header(path)
        if self.infilling_format.reads_repositories:
            return self.infilling_format.context(files, path.as_posix(), repository, self.tokenizer.encode)
        return [], header + as_comments(files, path)


def attribute_header(path: str | PurePath | None, attributes: Mapping[str, str] | None = None) -> str:
    """Return the tag with a file's language and other attributes, as it begins training documents.

    >>> attribute_header("a.py", {"dstars": "5"})
    '<| file ext=.py dstars=5 |>\\n'
    """
    path = arguments.path("path", path)
    extension = path.suffix if path is not None else ""
    all_attributes = {**({"ext": extension} if extension else {}), **(attributes or {})}
    return opening_tag("file", all_attributes) + "\n" if all_attributes else ""
