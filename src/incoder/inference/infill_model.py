"""A loaded model, as its users see it: text with holes in, filled text out.

Joins the rooms' parts: what the model sees of a text, the candidates and their ranking, long scores. Knows no
files and no networks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath

import torch

from incoder.document import Parts
from incoder.errors import IncoderError
from incoder.inference.decoding import Vocabulary
from incoder.inference.infilling import Chain, Infiller
from incoder.inference.line_endings import as_model_sees, to_crlf, uses_crlf
from incoder.inference.results import Candidate, InfillResult, Score
from incoder.inference.sampling import SamplingParams, random_stream
from incoder.inference.sequences import LanguageModel
from incoder.tokenizer.formats import InfillingFormat
from incoder.tokenizer.text_tokenizer import TextTokenizer

OnFill = Callable[[int, int], None]


class InfillModel:
    """Fills holes, completes and scores. Made by `incoder.load`."""

    def __init__(
        self,
        language_model: LanguageModel,
        tokenizer: TextTokenizer,
        infilling_format: InfillingFormat | None = None,
    ) -> None:
        self.language_model = language_model
        self.tokenizer = tokenizer
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
        max_new_tokens: int = 128,
        seed: int = 0,
        stop: str | Sequence[str] = (),
        path: str | PurePath | None = None,
        other_files: Mapping[str, str] | None = None,
        repository: str = "project",
        heal_tokens: bool = True,
        on_fill: OnFill | None = None,
    ) -> InfillResult:
        """Fill every hole: those between the parts, or at each `<FILL>` of a string.

        Holes are filled in order and later ones see the earlier fills. Long texts are cut around the holes to
        what the model can read; the result holds the whole text. Fills get the text's line ends. A file's
        `path` tells the model its language. Models that were trained on whole repositories can be shown
        `other_files` by path, the most important last, and the `repository`'s name. `heal_tokens` lets a fill
        begin in the middle of a word as if the prefix had not been cut there. `on_fill(done, total)` is
        called after every fill of every candidate.

        Raises:
            IncoderError: no hole, a model that only completes, or a setting outside of its range.
        """
        texts = _texts(parts)
        if len(texts) < 2:
            raise IncoderError(
                "nothing to fill: the text has no hole; mark one with <FILL>, or give two parts or more"
            )
        if not self.infilling_format.max_num_holes:
            raise IncoderError(
                "the vocabulary of this model has no fill-in-the-middle tokens; it can complete, not infill"
            )
        params = SamplingParams(temperature, top_p, top_k, max_new_tokens, seed, _stops(stop))
        header, context = self._header(path), list[int]()
        if other_files:
            context, header = self._context(other_files, path, repository)
        return self._generate(texts, params, num_candidates, header, context, heal_tokens, on_fill)

    def complete(
        self,
        prompt: str,
        *,
        num_candidates: int = 1,
        temperature: float = 0.2,
        top_p: float = 0.95,
        top_k: int | None = None,
        max_new_tokens: int = 128,
        seed: int = 0,
        stop: str | Sequence[str] = (),
        path: str | PurePath | None = None,
        heal_tokens: bool = True,
    ) -> InfillResult:
        """Write on after `prompt`, left to right; the same settings as `infill`.

        The completion is the result's one infill; its `text` is the prompt with it.

        Raises:
            IncoderError: a setting outside of its range.
        """
        params = SamplingParams(temperature, top_p, top_k, max_new_tokens, seed, _stops(stop))
        return self._generate([prompt], params, num_candidates, self._header(path), [], heal_tokens, None)

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

    def _header(self, path: str | PurePath | None) -> str:
        return attribute_header(path) if self.infilling_format.reads_attributes else ""

    def _context(
        self, files: Mapping[str, str], path: str | PurePath | None, repository: str
    ) -> tuple[list[int], str]:
        """As many files, from the last on, as half of the positions hold."""
        if path is None:
            raise IncoderError("other_files need a path for the text with the holes")
        names = list(files)
        for first in range(len(names) + 1):
            shown = {name: as_model_sees([files[name]])[0] for name in names[first:]}
            context, header = self.infilling_format.context(
                shown, PurePath(path).as_posix(), repository, self.tokenizer.encode
            )
            if len(context) <= self.language_model.max_positions // 2:
                break
        return context, header

    def _generate(
        self,
        texts: list[str],
        params: SamplingParams,
        num_candidates: int,
        header: str,
        context: list[int],
        heal_tokens: bool,
        on_fill: OnFill | None,
    ) -> InfillResult:
        if num_candidates < 1:
            raise IncoderError(f"num_candidates must be at least 1, got {num_candidates}")
        if params.temperature == 0:
            num_candidates = 1  # greedy decoding has one outcome
        infiller = Infiller(
            self.language_model,
            self._vocabulary,
            params,
            header=header,
            context=context,
            heal_tokens=heal_tokens,
        )
        chains = [Chain(random_stream(params.seed, index)) for index in range(num_candidates)]
        total = num_candidates * max(1, len(texts) - 1)

        def report() -> None:
            if on_fill is not None:
                on_fill(sum(len(chain.infills) for chain in chains), total)

        with torch.inference_mode():
            infiller.fill(as_model_sees(texts), chains, report)
        return InfillResult(tuple(_ranked(_candidate(texts, chain) for chain in chains)))


def attribute_header(path: str | PurePath | None) -> str:
    """The line that tells the model a file's language, as in its training documents (paper, section 3.3)."""
    extension = PurePath(path).suffix if path is not None else ""
    return f"<| file ext={extension} |>\n" if extension else ""


def _candidate(texts: Sequence[str], chain: Chain) -> Candidate:
    infills = tuple(map(to_crlf, chain.infills) if uses_crlf(texts) else chain.infills)
    joined = Parts(tuple(texts)).join(infills) if len(texts) > 1 else texts[0] + infills[0]
    total = sum(chain.logprobs)
    return Candidate(joined, infills, total / len(chain.logprobs), total, tuple(chain.finish_reasons))


def _ranked(candidates: Iterator[Candidate]) -> list[Candidate]:
    """The most probable first, and of those with the same text only that one."""
    distinct: dict[tuple[str, ...], Candidate] = {}
    for candidate in sorted(candidates, key=lambda candidate: candidate.logprob, reverse=True):
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
