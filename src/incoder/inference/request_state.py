"""A request while its holes are filled: its texts as a model sees them, its prompts, its rules, its result.

Whatever computes the tokens asks for the prompt of a candidate's next hole and for its stopping rules, and
adds the infills. Texts have the form that the model reads (line_endings.py). Imports no torch.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from incoder.document import Parts
from incoder.errors import IncoderError
from incoder.inference.candidates import CandidateState, Standing
from incoder.inference.decoding.sequence_state import Decoded
from incoder.inference.decoding.stopping_rules.hole import Hole
from incoder.inference.decoding.stopping_rules.stopping import StoppingRules
from incoder.inference.decoding.text_stream import TextStream
from incoder.inference.end_choice import TRUST, EndChoice
from incoder.inference.prompts.line_endings import as_model_sees, to_unix
from incoder.inference.prompts.prompter import LEFT_CONTEXT, Prompt, Prompter
from incoder.inference.syntax.languages import syntax_of
from incoder.inference.syntax_errors.added_errors import adds_errors
from incoder.inference.syntax_errors.unbound_names import leave_unbound
from incoder.request import InfillRequest
from incoder.request_settings import StoppingRule
from incoder.results import Candidate, InfillResult, OnInfill, OnText, ShownPrompt, Timing, Usage

_ENDING_RULES = frozenset[StoppingRule](("tails", "lines", "rest", "ends"))


class RequestState:
    """The state of one request; the `prompter` has the context before the text.

    `PromptingModel.infill` explains `on_infill` and `on_text`. Unless `allows_tags` is set, no answer
    contains the tags of training documents. With `chooses_ends`, the places where an infill may end are
    compared when it is written, unless it is streamed or beam-searched.
    """

    def __init__(
        self,
        prompter: Prompter,
        request: InfillRequest,
        *,
        allows_tags: bool = True,
        chooses_ends: bool = True,
        on_infill: OnInfill | None = None,
        on_text: OnText | None = None,
    ) -> None:
        self._prompter = prompter
        self._request = request
        self._allows_tags = allows_tags
        self._on_infill = on_infill
        self._stream = None if on_text is None else TextStream(request, on_text)
        self._chooses_ends = chooses_ends and on_text is None and request.sampling.num_beams == 1
        self._sampling = replace(request.sampling, stop=tuple(map(to_unix, request.sampling.stop)))
        self._parts = request.parts
        self._texts: Sequence[str] = as_model_sees(request.parts) if request.parts else ()
        if request.prompt_ids is not None:
            text = prompter.vocabulary.tokenizer.decode(request.prompt_ids, "surrogateescape")
            self._parts = self._texts = (text,)
        self._syntax = syntax_of(request.prompt.path, self._parts[0])
        self._deadline = math.inf
        self._started = 0.0
        self._prefilled: float | None = None
        self._num_written = 0
        self._num_expected = request.num_sequences * request.num_infills
        self._usage = Usage()
        self._shown: ShownPrompt | None = None

    def shown_prompt(self) -> ShownPrompt:
        """Return the prompt before the first infill."""
        return self._prompter.shown(self._prompt(CandidateState(0)))

    def _start_clock(self) -> None:
        """Let the time limit count from now."""
        self._started = time.monotonic()
        limit = self._sampling.time_limit
        end = math.inf if limit is None else self._started + limit
        self._deadline = min(end, math.inf if self._request.deadline is None else self._request.deadline)

    def _note_prefill(self) -> None:
        """Note when the first prompt has been read: from then on the time limit of decoding counts."""
        if self._prefilled is None:
            self._prefilled = time.monotonic()
            limit = self._sampling.decode_time_limit
            if limit is not None:
                self._deadline = min(self._deadline, self._prefilled + limit)

    def _prompt(self, state: CandidateState) -> Prompt:
        """Return the prompt for a candidate's next holes."""
        if self._request.prompt_ids is not None:
            token_ids = list(self._request.prompt_ids)
            return Prompt(token_ids, ([],), (b"",), (token_ids[-LEFT_CONTEXT:],))
        return self._prompter.prompt(self._texts, state.infills, omits_sentinel=self._omits_sentinel)

    @cached_property
    def _omits_sentinel(self) -> bool:
        """Whether no sentinel ends the prefix tail: by the rule *tails*, in the middle of a line.

        The model then hardly ends the infill, so other rules have to, and the best end is chosen when all is
        written. With several holes the sentinels stay, since only one hole has been measured.
        """
        is_possible = len(self._texts) == 2 and self._prompter.marks_tails and self._chooses_ends
        if not is_possible or not _ENDING_RULES.issubset(self._request.stopping_rules):
            return False
        return self._first_hole.is_middle

    @cached_property
    def _first_hole(self) -> Hole:
        """The first hole. The text before it is scanned once, for all candidates."""
        prefix, suffix = (text.encode("utf-8", "surrogateescape") for text in self._texts[:2])
        return Hole(prefix, suffix, self._syntax)

    def _check_space(self, prompt: Prompt, max_positions: int) -> None:
        """Raise if a prompt leaves no position for an infill."""
        num_tokens = len(prompt.token_ids)
        if num_tokens >= max_positions:
            if self._request.prompt_ids is not None:
                raise IncoderError(
                    f"prompt_ids has {num_tokens} tokens; the model's context has {max_positions}, of which "
                    "at least one must be free; give fewer"
                )
            raise IncoderError(
                f"the {num_tokens} tokens before the text leave no space for it: the model can read "
                f"{max_positions}; give a shorter path, fewer attributes, or another model"
            )

    def _stopping(self, state: CandidateState) -> StoppingRules:
        """Return the stopping rules of a candidate's next hole, after its infills so far."""
        prefix, suffix = (text.encode("utf-8", "surrogateescape") for text in self._around(state))
        has_holes = len(self._texts) > 1
        stopping = StoppingRules(
            prefix,
            suffix,
            self._request.stopping_rules if has_holes else (),
            self._syntax,
            self._first_hole.place if has_holes and not state.infills else state.place,
            lines=self._request.lines,
            allows_tags=self._allows_tags,
            hardly_ends=self._omits_sentinel,
        )
        state.place = stopping.place
        return stopping

    def _around(self, state: CandidateState) -> tuple[str, str]:
        """Return the text before a candidate's next hole, with its infills, and the text after that hole."""
        hole, texts = len(state.infills), self._texts
        before = Parts(tuple(texts[: hole + 1])).join(state.infills)
        return before, texts[hole + 1] if len(texts) > 1 else ""

    def _end_choice(self, rules: StoppingRules, decoded: Decoded, num_required: int) -> EndChoice:
        """Return where an infill may end instead of where it did, before the first stop string."""
        written = decoded.written(self._prompter.vocabulary)[num_required:]
        stops = (stop.encode("utf-8", "surrogateescape") for stop in self._sampling.stop)
        found = [place for stop in stops if (place := written.find(stop)) >= 0]
        end = len(decoded.spelling)
        places = {end, *rules.places_to_end(written[: min(found, default=len(written))])}
        return EndChoice(written, sorted(places), end, 0.0 if self._omits_sentinel else TRUST)

    def _is_greedy(self, state: CandidateState) -> bool:
        """Whether a candidate takes the most probable tokens."""
        is_first_greedy = self._request.greedy_first or self._request.branches
        return self._sampling.temperature == 0 or (is_first_greedy and state.index == 0)

    def _value(self, candidate: Candidate) -> float:
        """Return the log-probability by which a candidate is ranked, without that of the full text."""
        return candidate.logprob if self._request.rank_by == "mean" else candidate.total_logprob

    def _standings(self, states: Sequence[CandidateState]) -> list[Standing]:
        """Return for each candidate what counts before its log-probability: by "syntax", what is wrong."""
        if self._request.rank_by != "syntax" or not self._ranks_by_full_text(states):
            return [Standing()] * len(states)
        infills, path = [state.infills for state in states], self._request.prompt.path
        adds = adds_errors(self._texts, infills, path)
        num_unbound = leave_unbound(self._texts, infills, path)
        return [Standing(not bad, -number) for bad, number in zip(adds, num_unbound, strict=True)]

    def _ranks_by_full_text(self, states: Sequence[CandidateState]) -> bool:
        """Whether the full text counts, too, and there is time to read it."""
        return self._request.rank_by in ("full-text", "syntax") and len(states) > 1 and not self._is_time_up()

    def _add(self, state: CandidateState, decoded: Decoded) -> None:
        state.add(decoded)
        self._report()

    def _leave_empty(self, states: Sequence[CandidateState]) -> None:
        """Fill the remaining holes of these candidates with nothing: the time is up."""
        for state in states:
            while len(state.infills) < self._request.num_infills:
                self._add(state, Decoded(b"", (), "time"))

    def _report(self) -> None:
        self._num_written += 1
        if self._on_infill is not None:
            self._on_infill(self._num_written, self._num_expected)

    def _pass_on(self, state: CandidateState, data: bytes) -> None:
        """Stream bytes that can no longer be retracted, if there is a callback."""
        if self._stream is not None:
            self._stream.add(state.index, len(state.infills), data)

    def _is_time_up(self) -> bool:
        return time.monotonic() > self._deadline

    def _result(self, states: Sequence[CandidateState], candidates: Sequence[Candidate]) -> InfillResult:
        decoded = [one for state in states for one in state.decoded]
        usage = replace(
            self._usage,
            num_completion_tokens=sum(len(one.token_ids) for one in decoded),
            num_draft_tokens=sum(one.num_draft_tokens for one in decoded),
            num_accepted_tokens=sum(one.num_accepted_tokens for one in decoded),
        )
        return InfillResult(tuple(candidates), usage, self._shown, self._timing())

    def _timing(self) -> Timing:
        """Return when the request began, when its first prompt was read, and when it ended."""
        ended = time.monotonic()
        return Timing(self._started, ended if self._prefilled is None else self._prefilled, ended)
