"""A loaded model, as its users see it: text with holes in, filled text out.

Joins the rooms' parts: what the model sees of a text, the candidates and their ranking, long scores. Knows no
files and no networks.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import PurePath
from typing import TypeVar

import torch

from incoder.document import Parts
from incoder.errors import IncoderError
from incoder.inference.decoding import Vocabulary
from incoder.inference.edges import ALL_EDGE_RULES, EdgeRule
from incoder.inference.infilling import Chain, Infiller, Watch
from incoder.inference.line_endings import as_model_sees, to_crlf, uses_crlf
from incoder.inference.other_files import as_comments
from incoder.inference.programs import Program, run
from incoder.inference.request import InfillRequest, RankBy
from incoder.inference.results import Candidate, InfillResult, Score
from incoder.inference.sampling import SamplingParams, random_stream
from incoder.inference.sequences import LanguageModel
from incoder.inference.text_stream import OnText, TextStream
from incoder.tokenizer.formats import InfillingFormat
from incoder.tokenizer.text_tokenizer import TextTokenizer

_MAX_FORMAT_TOKENS = 8  # what a format puts around the parts of one hole

OnFill = Callable[[int, int], None]
T = TypeVar("T")


class InfillModel:
    """Fills holes, completes and scores. Made by `incoder.load`."""

    def __init__(
        self,
        language_model: LanguageModel,
        tokenizer: TextTokenizer,
        infilling_format: InfillingFormat | None = None,
        num_lead_lines: int = 0,
    ) -> None:
        self.language_model = language_model
        self.tokenizer = tokenizer
        self.num_lead_lines = num_lead_lines
        self._vocabulary = Vocabulary(tokenizer, infilling_format)

    @property
    def infilling_format(self) -> InfillingFormat:
        """How this model is shown the holes of a text."""
        return self._vocabulary.layout

    def infill(
        self,
        parts: str | Parts | Sequence[str],
        *,
        num_candidates: int = 1,
        temperature: float = 0.2,
        top_p: float = 0.95,
        top_k: int | None = None,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        logit_bias: Mapping[int, float] | None = None,
        max_new_tokens: int = 128,
        seed: int = 0,
        stop: str | Sequence[str] = (),
        time_limit: float | None = None,
        rank_by: RankBy = "mean",
        path: str | PurePath | None = None,
        other_files: Mapping[str, str] | None = None,
        repository: str = "project",
        num_lead_lines: int | None = None,
        heal_tokens: bool = True,
        edge_rules: Sequence[EdgeRule] = ALL_EDGE_RULES,
        speculate: bool = True,
        num_beams: int = 1,
        length_penalty: float = 1.0,
        early_stopping: bool = False,
        on_fill: OnFill | None = None,
    ) -> InfillResult:
        """Fill every hole: those between the parts, or at each `<FILL>` of a string.

        Holes are filled in order and later ones see the earlier fills. Long texts are cut around the holes to
        what the model can read; the result holds the whole text. Fills get the text's line ends. How tokens
        are chosen is told by `SamplingParams`; candidates come by their mean or total log-probability
        (`rank_by`), the best first. A file's `path` tells the model its language. `other_files` by path, the
        most important last, and the `repository`'s name are shown before it: to models that were trained on
        whole repositories in their own format, to others as comments. `num_lead_lines` of the text before a
        hole, its own line's beginning counted, are given to the model as the beginning of the fill (lead.py),
        by default as many as it was trained with. `heal_tokens` lets a fill begin in the
        middle of a word as if the prefix had not been cut there, and the `edge_rules` end it where the text
        behind the hole tells that it should have ended (edges.py). `on_fill(done, total)` is called after
        every fill of every candidate.

        What was read stays in memory: the next call reads of a text that begins alike only what is new.

        Raises:
            IncoderError: no hole, a model that only completes, or a setting outside of its range.
        """
        params = SamplingParams(
            temperature,
            top_p,
            top_k,
            max_new_tokens,
            seed,
            _stops(stop),
            min_p,
            repetition_penalty,
            logit_bias or {},
            time_limit,
            speculate,
            num_beams,
            length_penalty,
            early_stopping,
        )
        request = InfillRequest(
            tuple(_texts(parts)),
            params,
            num_candidates,
            rank_by,
            path,
            other_files or {},
            repository,
            num_lead_lines,
            heal_tokens,
            tuple(edge_rules),
        )
        if len(request.texts) < 2:
            raise IncoderError(
                "nothing to fill: the text has no hole; mark one with <FILL>, or give two parts or more"
            )
        return self._run(self.program(request, on_fill=on_fill))

    def complete(
        self,
        prompt: str,
        *,
        num_candidates: int = 1,
        temperature: float = 0.2,
        top_p: float = 0.95,
        top_k: int | None = None,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        logit_bias: Mapping[int, float] | None = None,
        max_new_tokens: int = 128,
        seed: int = 0,
        stop: str | Sequence[str] = (),
        time_limit: float | None = None,
        rank_by: RankBy = "mean",
        path: str | PurePath | None = None,
        heal_tokens: bool = True,
        speculate: bool = True,
        num_beams: int = 1,
        length_penalty: float = 1.0,
        early_stopping: bool = False,
    ) -> InfillResult:
        """Write on after `prompt`, left to right; the same settings as `infill`.

        The completion is the result's one infill; its `text` is the prompt with it.

        Raises:
            IncoderError: a setting outside of its range.
        """
        params = SamplingParams(
            temperature,
            top_p,
            top_k,
            max_new_tokens,
            seed,
            _stops(stop),
            min_p,
            repetition_penalty,
            logit_bias or {},
            time_limit,
            speculate,
            num_beams,
            length_penalty,
            early_stopping,
        )
        request = InfillRequest((prompt,), params, num_candidates, rank_by, path, heal_tokens=heal_tokens)
        return self._run(self.program(request))

    def program(
        self, request: InfillRequest, *, on_fill: OnFill | None = None, on_text: OnText | None = None
    ) -> Program[InfillResult]:
        """What `infill` and `complete` run, for an `Engine` to run beside others.

        `on_text(candidate, hole, text)` gets what is written as it comes, both counted from 0, with the
        line ends that the model writes. The time limit counts from the first step.

        Raises:
            IncoderError: holes, and a model that only completes; or too many other files.
        """
        if len(request.texts) > 1 and not self.infilling_format.max_num_holes:
            raise IncoderError(
                "the vocabulary of this model has no fill-in-the-middle tokens; it can complete, not infill"
            )
        header, context = self._header(request.path), list[int]()
        if request.other_files:
            context, header = self._context(request.other_files, request.path, request.repository)
        lead = self.num_lead_lines if request.num_lead_lines is None else request.num_lead_lines
        infiller = Infiller(
            self.language_model,
            self._vocabulary,
            request.params,
            header=header,
            context=context,
            num_lead_lines=lead,
            heal_tokens=request.heal_tokens,
            edge_rules=request.edge_rules,
        )
        return _filling(infiller, request, on_fill, on_text)

    def score(self, text: str, *, path: str | PurePath | None = None) -> Score:
        """How probable the model finds `text` as a document of its own.

        A text longer than the context is read in windows that overlap by half: every token but those of the
        first half window has at least half a window before it.
        """
        header = self.tokenizer.encode(self._header(path))
        document_start = self.infilling_format.document_start_id
        token_ids = [] if document_start is None else [document_start]
        token_ids += [*header, *self.tokenizer.encode_start(text)]
        logprobs: list[float] = []
        for start, end in _overlapping(len(token_ids), self.language_model.max_positions):
            with torch.inference_mode():
                window_T = self.language_model.logprobs(token_ids[start:end])
            logprobs += window_T[len(logprobs) - start :].tolist()
        return Score(tuple(logprobs[len(header) :]))

    def score_infill(self, parts: Sequence[str], infill: str, *, path: str | PurePath | None = None) -> Score:
        """How probable the model finds `infill`, and its end, in the one hole between two parts.

        Of parts that are longer than the context, what is next to the hole is read.

        Raises:
            IncoderError: not two parts, or a model that only completes.
        """
        if len(parts) != 2 or not self.infilling_format.max_num_holes:
            raise IncoderError("an infill is scored between two parts, by a model with an infilling format")
        prefix = self.tokenizer.encode_start(self._header(path) + parts[0])
        suffix = self.tokenizer.encode(parts[1])
        end = [*self.tokenizer.encode(infill), min(self.infilling_format.end_of_infill_ids)]
        room = self.language_model.max_positions - len(end) - _MAX_FORMAT_TOKENS
        suffix = suffix[: max(room // 2, room - len(prefix))]
        kept = prefix[max(0, len(prefix) - (room - len(suffix))) :]
        prompt = self.infilling_format.prompt([kept, suffix], is_start=len(kept) == len(prefix))
        token_ids = [*prompt, *self.infilling_format.hole_start(0), *end]
        with torch.inference_mode():
            logprobs = self.language_model.logprobs(token_ids)
        return Score(tuple(logprobs[-len(end) :].tolist()))

    def _header(self, path: str | PurePath | None) -> str:
        return attribute_header(path) if self.infilling_format.reads_attributes else ""

    def _context(
        self, files: Mapping[str, str], path: str | PurePath | None, repository: str
    ) -> tuple[list[int], str]:
        """As many files, from the last on, as half of the positions hold: tokens, and text behind them."""
        if path is None:
            raise IncoderError("other_files need a path for the text with the holes")
        path, names = PurePath(path), list(files)
        for first in range(len(names) + 1):
            shown = {name: as_model_sees([files[name]])[0] for name in names[first:]}
            context, header = list[int](), self._header(path)
            if self.infilling_format.reads_repositories:
                context, header = self.infilling_format.context(
                    shown, path.as_posix(), repository, self.tokenizer.encode
                )
            else:
                header += as_comments(shown, path)
            num_tokens = len(context) + len(self.tokenizer.encode(header))
            if num_tokens <= self.language_model.max_positions // 2:
                break
        return context, header

    def _run(self, program: Program[T]) -> T:
        with torch.inference_mode():
            return run(program)


def _filling(
    infiller: Infiller, request: InfillRequest, on_fill: OnFill | None, on_text: OnText | None
) -> Program[InfillResult]:
    chains = [Chain(index, random_stream(request.params.seed, index)) for index in range(request.num_chains)]
    limit = request.params.time_limit
    deadline = math.inf if limit is None else time.monotonic() + limit
    texts = TextStream(on_text) if on_text is not None else None

    def report() -> None:
        if on_fill is not None:
            on_fill(sum(len(chain.infills) for chain in chains), len(chains) * request.num_fills)

    def pass_on(chain: Chain, data: bytes) -> None:
        if texts is not None:
            texts.add(chain.index, len(chain.infills), data)

    watch = Watch(report, pass_on, lambda: time.monotonic() > deadline)
    seen = as_model_sees(request.texts)
    if request.params.num_beams > 1:
        chains = yield from infiller.searching(seen, request.num_candidates, watch)
        return InfillResult(tuple(_candidate(request.texts, chain) for chain in chains))
    yield from infiller.filling(seen, chains, watch)
    candidates = (_candidate(request.texts, chain) for chain in chains)
    return InfillResult(tuple(_ranked(candidates, request.rank_by)))


def attribute_header(path: str | PurePath | None) -> str:
    """The line that tells the model a file's language, as in its training documents (paper, section 3.3)."""
    extension = PurePath(path).suffix if path is not None else ""
    return f"<| file ext={extension} |>\n" if extension else ""


def _candidate(texts: Sequence[str], chain: Chain) -> Candidate:
    infills = tuple(map(to_crlf, chain.infills) if uses_crlf(texts) else chain.infills)
    joined = Parts(tuple(texts)).join(infills) if len(texts) > 1 else texts[0] + infills[0]
    total = sum(chain.logprobs)
    mean = total / max(1, len(chain.logprobs))  # without a token where the time was up before the first
    return Candidate(joined, infills, mean, total, tuple(chain.finish_reasons))


def _ranked(candidates: Iterator[Candidate], rank_by: RankBy) -> list[Candidate]:
    """The most probable first, and of those with the same text only that one."""
    key = attrgetter("logprob" if rank_by == "mean" else "total_logprob")
    distinct: dict[tuple[str, ...], Candidate] = {}
    for candidate in sorted(candidates, key=key, reverse=True):
        distinct.setdefault(candidate.infills, candidate)
    return list(distinct.values())


def _overlapping(num_tokens: int, window: int) -> Iterator[tuple[int, int]]:
    start, end = 0, min(num_tokens, window)
    yield start, end
    while end < num_tokens:
        start = end - window // 2
        end = min(num_tokens, start + window)
        yield start, end


def _texts(parts: str | Parts | Sequence[str]) -> list[str]:
    if isinstance(parts, str):
        parts = Parts.split(parts)
    return list(parts.texts if isinstance(parts, Parts) else parts)


def _stops(stop: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(as_model_sees([stop] if isinstance(stop, str) else list(stop))) if stop else ()
