"""A loaded model, as its users see it: text with holes in, filled text out.

Joins the rooms' parts: what the model sees of a text, the candidates and their ranking, long scores. Knows no
files and no networks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Any, TypeVar

import torch

import incoder
from incoder import arguments
from incoder.document import Parts
from incoder.errors import IncoderError
from incoder.inference.candidates import OnFill, candidates
from incoder.inference.decoding.decode_loop import Vocabulary
from incoder.inference.decoding.stopping_rules.stopping import ALL_EDGE_RULES, EdgeRule
from incoder.inference.decoding.text_stream import OnText
from incoder.inference.fill_scoring import fill_scoring
from incoder.inference.infilling import Infiller
from incoder.inference.language_model import Generation, LanguageModel, run_alone
from incoder.inference.prompts.line_endings import as_model_sees, to_unix
from incoder.inference.prompts.other_files import as_comments, fitting
from incoder.inference.prompts.prompter import Prompter, fill_room
from incoder.inference.sampling_params import DEFAULT_TEMPERATURE, DEFAULT_TOP_P, SamplingParams
from incoder.inference.scoring import scoring
from incoder.inference.syntax.languages import syntax_of
from incoder.request import InfillRequest, RankBy
from incoder.results import InfillResult, Score, ShownPrompt
from incoder.tags import opening_tag
from incoder.tokenizer.formats import InfillingFormat
from incoder.tokenizer.text_tokenizer import TextTokenizer

T = TypeVar("T")


class InfillModel:
    """Fills holes, completes and scores. Made by `incoder.load`.

    It is pickled as the arguments of that call (`source`), so a process that unpickles it loads the model
    anew.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        tokenizer: TextTokenizer,
        infilling_format: InfillingFormat | None = None,
        num_lead_lines: int = 0,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        self.language_model = language_model
        self.tokenizer = tokenizer
        self.num_lead_lines = num_lead_lines
        self._source = source
        self._vocabulary = Vocabulary(tokenizer, infilling_format)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._source is None:
            raise IncoderError(
                "an InfillModel is pickled as the arguments of incoder.load, and this one was made from its "
                "parts; save them with save_checkpoint, then load that folder"
            )
        return partial(incoder.load, **self._source), ()

    @property
    def infilling_format(self) -> InfillingFormat:
        """How this model is shown the holes of a text."""
        return self._vocabulary.layout

    def infill(
        self,
        parts: str | Parts | Sequence[str],
        *,
        num_candidates: int = 1,
        temperature: float = DEFAULT_TEMPERATURE,
        top_p: float = DEFAULT_TOP_P,
        top_k: int | None = None,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        logit_bias: Mapping[int, float] | None = None,
        max_new_tokens: int = 128,
        seed: int = 0,
        stop: str | Sequence[str] | None = None,
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
        max_lines: int | None = None,
        on_fill: OnFill | None = None,
    ) -> InfillResult:
        """Fill every hole: those between the parts, or at each `<FILL>` of a string.

        Holes are filled in order, and later ones see the earlier infills. Long texts are cut around the holes
        to what the model can read; the result contains the whole text. Infills get the text's line ends.
        `SamplingParams` explains how tokens are chosen. Candidates are sorted, the best first, by their mean
        or total log-probability, or by the total plus, if the time limit allows, that of the `whole` text
        read left to right (`rank_by`); beams are sorted by the score of the search. The `path` of a file
        gives its language. `other_files` by path, the most important last, are shown before it as far as they
        fit (`shown_files`), with the name of the `repository`: in the model's own format if it was trained on
        whole repositories, otherwise as comments.

        `num_lead_lines` of the text before a hole, including the start of the hole's line, are given to the
        model as the start of the infill (lead.py), by default as many as it was trained with. With
        `heal_tokens`, an infill begins in the middle of a word as if the prefix had not been cut there. The
        `edge_rules` end it where the text around the hole shows that it should have ended (edges.py).
        `on_fill(done, total)` is called after every infill of every candidate.

        The keys and values stay in memory: for a text that begins alike, the next call computes only new
        ones.

        Raises:
            IncoderError: no hole, a model that only completes, or a setting outside of its range.
        """
        params = SamplingParams(
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            max_new_tokens=max_new_tokens,
            seed=seed,
            stop=_stops(stop),
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            logit_bias=logit_bias or {},
            time_limit=time_limit,
            speculate=speculate,
            num_beams=num_beams,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
            max_lines=max_lines,
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
            edge_rules,  # type: ignore[arg-type] # the request makes a tuple of it
        )
        if len(request.texts) < 2:
            raise IncoderError(
                "nothing to fill: the text has no hole; mark one with <FILL>, or give two parts or more"
            )
        return self._run(self.generation(request, on_fill=on_fill))

    def complete(
        self,
        prompt: str,
        *,
        num_candidates: int = 1,
        temperature: float = DEFAULT_TEMPERATURE,
        top_p: float = DEFAULT_TOP_P,
        top_k: int | None = None,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        logit_bias: Mapping[int, float] | None = None,
        max_new_tokens: int = 128,
        seed: int = 0,
        stop: str | Sequence[str] | None = None,
        time_limit: float | None = None,
        rank_by: RankBy = "mean",
        path: str | PurePath | None = None,
        attributes: Mapping[str, str] | None = None,
        heal_tokens: bool = True,
        speculate: bool = True,
        num_beams: int = 1,
        length_penalty: float = 1.0,
        early_stopping: bool = False,
        allows_tags: bool = False,
        max_lines: int | None = None,
    ) -> InfillResult:
        """Write on after `prompt`, left to right; the same settings as `infill`.

        `attributes` such as `filename` or `dstars` come before the text, beside the extension of `path`, for
        a model that was trained with them (paper, appendix A.4). The completion ends after `max_lines` lines,
        not counting newlines that it begins with. It is the only infill of the result, whose `text` is the
        prompt with it. Unless the call `allows_tags`, a completion ends before the tags of training documents
        (tags.py) and never begins with one.

        Raises:
            IncoderError: a setting outside of its range, or attributes for a model that knows none.
        """
        params = SamplingParams(
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            max_new_tokens=max_new_tokens,
            seed=seed,
            stop=_stops(stop),
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            logit_bias=logit_bias or {},
            time_limit=time_limit,
            speculate=speculate,
            num_beams=num_beams,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
            max_lines=max_lines,
        )
        request = InfillRequest(
            (arguments.text("prompt", prompt),),
            params,
            num_candidates,
            rank_by,
            path,
            heal_tokens=heal_tokens,
            attributes=attributes or {},
            allows_tags=allows_tags,
        )
        return self._run(self.generation(request))

    def generation(
        self, request: InfillRequest, *, on_fill: OnFill | None = None, on_text: OnText | None = None
    ) -> Generation[InfillResult]:
        """What `infill` and `complete` run, for an `Engine` to run beside others.

        `on_text(candidate, hole, text)` gets what is written as it comes, both counted from 0, with the
        line ends that the model writes. The time limit counts from the first step.

        Raises:
            IncoderError: holes, and a model that only completes; other files without a path; attributes, and
                a model that knows none; or a bias for an id that no token has.
        """
        if len(request.texts) > 1:
            self._check_infills()
        for token_id in request.params.logit_bias:
            if not 0 <= token_id < self.tokenizer.vocab_size:
                raise IncoderError(
                    f"logit_bias is for token ids in [0, {self.tokenizer.vocab_size}), got one for {token_id}"
                )
        if request.attributes:
            self.check_attributes()
        prompter = self._prompter_for(request)
        params = replace(request.params, stop=tuple(map(to_unix, request.params.stop)))
        infiller = Infiller(
            self.language_model,
            prompter,
            params,
            request.edge_rules,
            syntax_of(request.path, request.texts[0]),
            allows_tags=request.allows_tags or not self.infilling_format.reads_attributes,
        )
        return candidates(infiller, request, on_fill, on_text)

    def shown_prompt(self, request: InfillRequest) -> ShownPrompt:
        """The text that the model reads before the first infill of this request.

        Raises:
            IncoderError: as `generation` says.
        """
        if len(request.texts) > 1:
            self._check_infills()
        prompt = self._prompter_for(request).prompt(as_model_sees(request.texts), ())
        names = {token_id: name.encode() for name, token_id in self.tokenizer.special_ids.items()}
        read = b"".join(names.get(one) or self.tokenizer.token_bytes(one) for one in prompt.token_ids)
        text, required = (data.decode("utf-8", "surrogateescape") for data in (read, prompt.forced[0]))
        return ShownPrompt(text, required, len(prompt.token_ids))

    def _prompter_for(self, request: InfillRequest) -> Prompter:
        lead = self.num_lead_lines if request.num_lead_lines is None else request.num_lead_lines
        return self._prompter(
            request.path,
            request.params.max_new_tokens,
            attributes=request.attributes,
            other_files=request.other_files,
            repository=request.repository,
            num_lead_lines=lead,
            heal_tokens=request.heal_tokens,
        )

    def score(self, text: str, *, path: str | PurePath | None = None) -> Score:
        """How probable the model finds `text` as a document of its own.

        A text longer than the context is read in windows that overlap by half: every token but those of the
        first half window has at least half a window before it.
        """
        before = self._before_document(path)
        token_ids = [*before, *self._encode_document(arguments.text("text", text))]
        logprobs: list[float] = []
        for start, end in _overlapping(len(token_ids), self.language_model.max_positions):
            with torch.inference_mode():
                window_T = self.language_model.logprobs(token_ids[start:end])
            logprobs += window_T[len(logprobs) - start :].tolist()
        return Score(tuple(logprobs[max(0, len(before) - 1) :]))

    def line_logprobs(self, text: str, *, path: str | PurePath | None = None) -> tuple[float, ...]:
        """The mean log-probability of each line's tokens, as `score` finds them; 0 for a line without one.

        A token that reaches into the next line counts for the one in which it begins; `\\n` ends a line.
        """
        logprobs = self.score(text, path=path).token_logprobs
        token_ids = self._encode_document(text)
        lines: list[list[float]] = [[] for _ in range(text.count("\n") + 1)]
        line = 0
        # The first token has no log-probability where nothing stands before it.
        for token_id, logprob in zip(token_ids[len(token_ids) - len(logprobs) :], logprobs, strict=True):
            lines[line].append(logprob)
            line += self.tokenizer.token_bytes(token_id).count(b"\n")
        return tuple(sum(values) / max(1, len(values)) for values in lines)

    def score_texts(self, texts: Sequence[str], *, path: str | PurePath | None = None) -> tuple[Score, ...]:
        """`score` of every text; what they begin with alike is read once where they fit into the context."""
        before = self._before_document(path)
        rows = [[*before, *self._encode_document(text)] for text in arguments.texts("texts", texts)]
        num_given = max(1, len(before))
        lengths = [len(row) for row in rows]
        if not rows or min(lengths) <= num_given or max(lengths) > self.language_model.max_positions:
            return tuple(self.score(text, path=path) for text in texts)
        found = self._run(scoring(self.language_model, rows, num_given))
        return tuple(Score(tuple(logprobs)) for logprobs in found)

    def score_infills(
        self,
        parts: str | Parts | Sequence[str],
        infills: Sequence[str | Sequence[str]],
        *,
        path: str | PurePath | None = None,
        num_lead_lines: int | None = None,
        heal_tokens: bool = True,
    ) -> tuple[Score, ...]:
        """How probable the model finds each of `infills`, and that they end there; see `infill` for the rest.

        Each is the text of the only hole, or a text for every hole. What they share is read once. The tokens
        that count are those of a candidate's log-probability: also those that were healed, and the ends.

        Raises:
            IncoderError: no hole, a number of texts that is not that of the holes, a model that only
                completes, or a text that is too long.
        """
        texts = _texts(parts)
        if isinstance(infills, str):
            raise IncoderError("infills must be a sequence with the infills of each candidate, got a string")
        fills = [arguments.texts("infills", [one] if isinstance(one, str) else one) for one in infills]
        if len(texts) < 2:
            raise IncoderError("nothing to score: the text has no hole; mark one with <FILL>")
        for fill in fills:
            if len(fill) != len(texts) - 1:
                raise IncoderError(f"there are {len(texts) - 1} holes, got {len(fill)} infills for them")
        self._check_infills()
        if not fills:
            return ()
        seen = as_model_sees(texts)
        seen_fills = [list(as_model_sees(fill)) for fill in fills]
        longest = max(len(self.tokenizer.encode(text)) for fill in seen_fills for text in fill)
        lead = self.num_lead_lines if num_lead_lines is None else num_lead_lines
        prompter = self._prompter(path, longest, num_lead_lines=lead, heal_tokens=heal_tokens)
        found = self._run(fill_scoring(self.language_model, prompter, seen, seen_fills))
        return tuple(Score(tuple(logprobs)) for logprobs in found)

    def shown_files(
        self,
        other_files: Mapping[str, str],
        path: str | PurePath | None,
        *,
        max_new_tokens: int = 128,
        repository: str = "project",
    ) -> dict[str, str]:
        """What `infill` shows of other files before the text at `path`: whole ones, and the start of one.

        They get half of what a fill leaves of the context.

        Raises:
            IncoderError: no path.
        """
        if path is None:
            raise IncoderError("other_files need a path for the text with the holes")

        def cost(files: Mapping[str, str]) -> int:
            context, header = self._context(files, path, repository)
            return len(context) + len(self.tokenizer.encode(header))

        max_positions = self.language_model.max_positions
        room = (max_positions - fill_room(max_new_tokens, max_positions)) // 2
        return fitting({name: as_model_sees([text])[0] for name, text in other_files.items()}, room, cost)

    def check_attributes(self) -> None:
        """Refuse what needs a model that was trained on documents with their attributes.

        Raises:
            IncoderError: this one was not.
        """
        if not self.infilling_format.reads_attributes:
            raise IncoderError("this model was not trained on attributes of files; InCoder's models are")

    def _check_infills(self) -> None:
        if not self.infilling_format.max_num_holes:
            raise IncoderError(
                "the vocabulary of this model has no fill-in-the-middle tokens; it can complete, not infill"
            )

    def _prompter(
        self,
        path: str | PurePath | None,
        max_new_tokens: int,
        *,
        num_lead_lines: int,
        heal_tokens: bool,
        attributes: Mapping[str, str] | None = None,
        other_files: Mapping[str, str] | None = None,
        repository: str = "project",
    ) -> Prompter:
        header, context = self._header(path, attributes), list[int]()
        if other_files:
            shown = self.shown_files(other_files, path, max_new_tokens=max_new_tokens, repository=repository)
            assert path is not None
            context, header = self._context(shown, path, repository)
        return Prompter(
            self._vocabulary,
            self.language_model.max_positions,
            max_new_tokens,
            header=header,
            context=context,
            num_lead_lines=num_lead_lines,
            marks_leads=self.num_lead_lines > 0,
            heal_tokens=heal_tokens,
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
        """Other files before the text at `path`: tokens, and text behind them."""
        path, header = PurePath(path), self._header(path)
        if self.infilling_format.reads_repositories:
            return self.infilling_format.context(files, path.as_posix(), repository, self.tokenizer.encode)
        return [], header + as_comments(files, path)

    def _run(self, generation: Generation[T]) -> T:
        with torch.inference_mode():
            return run_alone(generation)


def attribute_header(path: str | PurePath | None, attributes: Mapping[str, str] | None = None) -> str:
    """The line that tells the model a file's language and more, as in its training documents."""
    path = arguments.path("path", path)
    extension = path.suffix if path is not None else ""
    all_attributes = {**({"ext": extension} if extension else {}), **(attributes or {})}
    return opening_tag("file", all_attributes) + "\n" if all_attributes else ""


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
    return list(arguments.texts("parts", parts.texts if isinstance(parts, Parts) else parts))


def _stops(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    """The stop strings: none for None or an empty string, else one or several."""
    if stop is None or stop == "":
        return ()
    return arguments.texts("stop", [stop] if isinstance(stop, str) else stop)
