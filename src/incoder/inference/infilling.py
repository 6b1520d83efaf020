"""From a request to its result: windows over long texts, holes in order, candidates in one batch.

The prompt is computed once for all candidates, which fork after it. A candidate's later infills see its
earlier ones: in the key/value cache if the holes share a window, else as text. Texts have the form that the
model reads (line_endings.py). Knows no files.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from incoder.inference.candidates import (
    CandidateState,
    Standing,
    alternatives,
    candidate_seed,
    first_of_each,
    ranked,
    with_equal_infills,
)
from incoder.inference.decoding.beam_search import beam_search
from incoder.inference.decoding.branches import best_beginnings
from incoder.inference.decoding.decode_loop import decoding
from incoder.inference.decoding.sampling import most_probable
from incoder.inference.decoding.sequence_state import Beginning, Decoded
from incoder.inference.decoding.stopping_rules.stopping import StoppingRules
from incoder.inference.end_choice import EndChoice, best_places
from incoder.inference.language_model import Forward, Generation, LanguageModel, Sequences
from incoder.inference.memory.prior import NextTokenPrior
from incoder.inference.prompts.prompter import SPARE, Prompt, Prompter
from incoder.inference.request_state import RequestState
from incoder.inference.scoring import score_full_texts, scored
from incoder.inference.vocabulary import Vocabulary
from incoder.request import InfillRequest
from incoder.results import Candidate, InfillResult, OnInfill, OnText, Token, Usage

_SPARE_BRANCHES = 8  # more tokens are looked at in each place, since not all of them begin a branch
_ECHO_CHUNK = 512  # tokens whose logits are held at once: 100 MB in float32 with a vocabulary of 50,000


class Infilling(RequestState):
    """The infilling of one request with one model. The `prior` is mixed into the model's distribution."""

    def __init__(
        self,
        model: LanguageModel,
        vocabulary: Vocabulary,
        prompter: Prompter,
        request: InfillRequest,
        *,
        allows_tags: bool = True,
        prior: NextTokenPrior | None = None,
        on_infill: OnInfill | None = None,
        on_text: OnText | None = None,
    ) -> None:
        super().__init__(prompter, request, allows_tags=allows_tags, on_infill=on_infill, on_text=on_text)
        self._model = model
        self._vocabulary = vocabulary
        self._prior = prior
        self._rngs: list[torch.Generator | None] = []  # one for each candidate; none for a greedy one
        if request.makes_branches:
            self._sampling = replace(self._sampling, temperature=0.0)
            self._rngs = [None] * request.num_candidates

    def run(self) -> Generation[InfillResult]:
        """Fill the holes in every candidate. The time limit counts from the first step."""
        request, sampling = self._request, self._sampling
        self._start_clock()
        tokenizer = self._vocabulary.tokenizer
        if sampling.num_beams > 1:
            states = yield from self._search()
            return self._result(states, tuple(one.result(self._parts, tokenizer) for one in states))
        if request.makes_branches:
            states = yield from self._fill_with_branches()
        else:
            states = [CandidateState(index) for index in range(request.num_sequences)]
            yield from self._fill(states)
        candidates = [state.result(self._parts, tokenizer) for state in states]
        if request.rank_by == "none":
            return self._result(states, candidates)
        standings = self._standings(states)
        values = yield from self._values(states, candidates, standings)
        return self._result(states, ranked(candidates, standings, values))

    def _values(
        self,
        states: Sequence[CandidateState],
        candidates: Sequence[Candidate],
        standings: Sequence[Standing],
    ) -> Generation[list[float]]:
        """Return the value of each candidate, to be compared with candidates of the same standing.

        A full text is read only for candidates of the best standing.
        """
        values = [self._value(one) for one in candidates]
        if self._ranks_by_full_text(states):
            best = max(standings)
            chosen = [index for index, one in enumerate(standings) if one == best]
            full_texts = yield from score_full_texts(
                self._model,
                self._prompter,
                self._texts,
                [states[index].infills for index in chosen],
                cache_salt=self._request.cache_salt,
            )
            for index, full_text in zip(chosen, full_texts, strict=True):
                values[index] += full_text
        return values

    def _fill(self, states: Sequence[CandidateState]) -> Generation[None]:
        """Fill all holes in every candidate; candidates that are equal so far share their prompts."""
        waiting = [list(states)]
        while waiting:
            group = waiting.pop()
            if group[0].infills and self._is_time_up():
                self._leave_empty(group)
                continue
            yield from self._fill_window(group)
            if len(group[0].infills) < self._request.num_infills:
                waiting += with_equal_infills(group)

    def _fill_window(self, states: Sequence[CandidateState]) -> Generation[None]:
        """Fill the holes that fit into one window; the candidates are equal so far."""
        prompt = self._prompt(states[0])
        if not self._rngs:
            self._rngs = [self._rng(state, prompt) for state in states]
        sequences = self._open(prompt)
        try:
            logits_BV = yield from self._read_prompt(sequences, prompt)
            if len(states) > 1:
                sequences.select([0] * len(states))
                logits_BV = logits_BV.expand(len(states), -1)
            contexts = [list(prompt.token_ids) for _ in states]
            decoded: list[Decoded] = []
            for hole, required_prefix in enumerate(prompt.required_prefixes):
                if hole:
                    if self._is_time_up():
                        return
                    marks = [self._prompter.end_id, *prompt.hole_starts[hole]]
                    unread = [[*one.unread, *marks] for one in decoded]
                    for context, one, tokens in zip(contexts, decoded, unread, strict=True):
                        context += [*one.read, *tokens]
                    num_read = map(len, unread)
                    longest = max(map(sum, zip(sequences.lengths, num_read, strict=True)))
                    if longest + self._prompter.infill_budget > self._model.max_positions:
                        return
                    logits_BV = yield Forward(sequences, unread)
                stopping = [self._stopping(state) for state in states]
                decoded = written = yield from self._decode(
                    sequences, logits_BV, prompt, states, stopping, hole=hole, contexts=contexts
                )
                decoded = yield from self._ended_best(states, stopping, written, len(required_prefix))
                for row, (state, before, one) in enumerate(zip(states, written, decoded, strict=True)):
                    if len(one.read) < len(before.read):
                        sequences.rollback(row, len(before.read) - len(one.read))
                    self._add(state, one)
        finally:
            sequences.close()

    def _fill_with_branches(self) -> Generation[list[CandidateState]]:
        """Fill the only hole greedily, then with infills that branch off the greedy one (branches.py)."""
        first = CandidateState(0)
        prompt = self._prompt(first)
        num_required = len(prompt.required_prefixes[0])
        num_branches = self._request.num_candidates - 1
        sequences = self._open(prompt)
        try:
            logits_1V = yield from self._read_prompt(sequences, prompt)
            rules = [self._stopping(first)]
            written = yield from self._decode(
                sequences, logits_1V, prompt, [first], rules, num_permitted=num_branches + _SPARE_BRANCHES
            )
            num_read = len(written[0].read)
            (greedy,) = yield from self._ended_best([first], rules, written, num_required)
            beginnings = best_beginnings(greedy, num_branches, self._vocabulary)
            if self._is_time_up():
                beginnings = []
            self._num_expected = 1 + len(beginnings)
            self._add(first, greedy)
            if not beginnings:
                return [first]
            branches = [CandidateState(index) for index in range(1, len(beginnings) + 1)]
            sequences.select([0] * len(branches))
            for row, beginning in enumerate(beginnings):
                sequences.rollback(row, num_read - beginning.num_read)
            rules = [self._stopping(branch) for branch in branches]
            if greedy.is_repeated:  # its other tokens are those that the stricter rules permit
                rules = [one.stricter() for one in rules]
            written = yield from self._decode(
                sequences, logits_1V, prompt, branches, rules, beginnings=beginnings
            )
        finally:
            sequences.close()
        ended = yield from self._ended_best(branches, rules, written, num_required)
        for branch, one in zip(branches, ended, strict=True):
            self._add(branch, one)
        return [first, *branches]

    def _decode(
        self,
        sequences: Sequences,
        logits_BV: Tensor,
        prompt: Prompt,
        states: Sequence[CandidateState],
        stopping: Sequence[StoppingRules],
        *,
        hole: int = 0,
        contexts: Sequence[Sequence[int]] | None = None,
        num_permitted: int = 0,
        beginnings: Sequence[Beginning] = (),
    ) -> Generation[list[Decoded]]:
        """Write one hole of a prompt in every candidate."""

        def on_bytes(row: int, data: bytes) -> None:
            self._pass_on(states[row], data)

        return decoding(
            sequences,
            logits_BV,
            required_prefix=prompt.required_prefixes[hole],
            params=self._sampling,
            rngs=[self._rngs[state.index] for state in states],
            vocabulary=self._vocabulary,
            max_positions=self._model.max_positions,
            contexts=[prompt.token_ids] * len(states) if contexts is None else contexts,
            stopping=stopping,
            prior=self._prior,
            left_context=prompt.left_contexts[hole],
            num_alternatives=self._request.num_alternatives,
            num_permitted=num_permitted,
            beginnings=beginnings,
            is_time_up=self._is_time_up,
            on_bytes=on_bytes if self._stream is not None else None,
        )

    def _ended_best(
        self,
        states: Sequence[CandidateState],
        stopping: Sequence[StoppingRules],
        decoded: Sequence[Decoded],
        num_required: int,
    ) -> Generation[list[Decoded]]:
        """Return the infills of a hole, each ended at the best of the places where the rules let it end.

        The candidates share the text before the hole, or each has a text of its own there.
        """
        found = list(decoded)
        if not self._chooses_ends or self._is_time_up():
            return found
        by_text: dict[str, list[tuple[int, EndChoice]]] = defaultdict(list)
        for row, (state, rules, one) in enumerate(zip(states, stopping, decoded, strict=True)):
            choice = self._end_choice(rules, one, num_required)
            if len(choice.places) > 1:
                by_text[self._around(state)[0]].append((row, choice))
        for before, rows in by_text.items():
            after = self._around(states[rows[0][0]])[1]
            choosing = best_places(self._prompter, before, after, [choice for _, choice in rows])
            places = yield from scored(self._model, choosing, cache_salt=self._request.cache_salt)
            for (row, _), place in zip(rows, places, strict=True):
                if place != len(decoded[row].spelling):
                    found[row] = decoded[row].ending_at(place, num_required, self._vocabulary)
        return found

    def _rng(self, state: CandidateState, prompt: Prompt) -> torch.Generator | None:
        """Return the random numbers of a candidate after the first prompt, the same ones on every device."""
        if self._is_greedy(state):
            return None
        return torch.Generator().manual_seed(
            candidate_seed(self._sampling.seed, state.index, prompt.token_ids)
        )

    def _search(self) -> Generation[list[CandidateState]]:
        """Beam-search the holes in order, continuing with the best infill.

        For a single hole, return the `num_candidates` best.
        """
        best = CandidateState(0)
        while True:
            if best.infills and self._is_time_up():
                self._leave_empty([best])
                return [best]
            prompt = self._prompt(best)
            sequences = self._open(prompt)
            try:
                logits_1V = yield from self._read_prompt(sequences, prompt)
                found = yield from beam_search(
                    sequences,
                    logits_1V,
                    required_prefix=prompt.required_prefixes[0],
                    params=self._sampling,
                    vocabulary=self._vocabulary,
                    max_positions=self._model.max_positions,
                    context=prompt.token_ids,
                    stopping=self._stopping(best),
                    prior=self._prior,
                    left_context=prompt.left_contexts[0],
                    num_alternatives=self._request.num_alternatives,
                    is_time_up=self._is_time_up,
                )
            finally:
                sequences.close()
            if self._request.num_infills == 1:
                different = first_of_each(found)[: self._request.num_candidates]
                states = [CandidateState(index) for index in range(len(different))]
                for state, decoded in zip(states, different, strict=True):
                    self._pass_on(state, decoded.spelling)
                    state.add(decoded)
                self._report()
                return states
            self._pass_on(best, found[0].spelling)
            self._add(best, found[0])
            if len(best.infills) == self._request.num_infills:
                return [best]

    def _open(self, prompt: Prompt) -> Sequences:
        """Open a sequence that is expected to hold the prompt and its infills."""
        num_tokens, max_positions = len(prompt.token_ids), self._model.max_positions
        self._check_space(prompt, max_positions)
        num_slots = num_tokens + len(prompt.required_prefixes) * (self._prompter.infill_budget + SPARE)
        return self._model.open(min(num_slots, max_positions), self._request.cache_salt)

    def _read_prompt(self, sequences: Sequences, prompt: Prompt) -> Generation[Tensor]:
        """Prefill a prompt and count its tokens; return the logits after it."""
        is_first = self._shown is None
        if is_first:
            self._shown = self._prompter.shown(prompt)
        if is_first and self._request.echo:
            logits_1V = yield from self._read_with_echo(sequences, prompt)
        else:
            logits_1V = yield Forward(sequences, [prompt.token_ids])
        self._note_prefill()
        usage = self._usage
        self._usage = Usage(
            usage.num_prompt_tokens + len(prompt.token_ids),
            usage.num_cached_tokens + sequences.num_cached_tokens,
        )
        return logits_1V

    def _read_with_echo(self, sequences: Sequences, prompt: Prompt) -> Generation[Tensor]:
        """Prefill the first prompt in chunks, and keep the log-probabilities of its tokens."""
        tokenizer, token_ids = self._vocabulary.tokenizer, prompt.token_ids
        tokens = [Token(token_ids[0], tokenizer.token_bytes(token_ids[0]), None)]
        for start in range(0, len(token_ids), _ECHO_CHUNK):
            logits_TV = yield Forward(sequences, [token_ids[start : start + _ECHO_CHUNK]], all_logits=True)
            next_ids = token_ids[start + 1 : start + 1 + _ECHO_CHUNK]
            logprobs_TV = logits_TV[: len(next_ids)].log_softmax(dim=-1)
            next_T1 = torch.tensor(next_ids, dtype=torch.long, device=logits_TV.device)[:, None]
            logprobs = logprobs_TV.gather(1, next_T1)[:, 0].tolist()
            rankings = most_probable(logits_TV[: len(next_ids)], self._request.num_alternatives)
            for token_id, logprob, ranking in zip(next_ids, logprobs, rankings, strict=True):
                data = tokenizer.token_bytes(token_id)
                tokens.append(Token(token_id, data, logprob, alternatives(ranking, tokenizer)))
        assert self._shown is not None
        self._shown = replace(self._shown, tokens=tuple(tokens))
        return logits_TV[-1:]
