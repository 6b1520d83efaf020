"""From a request to its result on other servers, which only generate tokens for the prompts.

Holes are filled in order, candidates side by side, each by a request of its own, which is closed as soon as a
rule ends the infill. A server that fails before it has written any text is replaced by another one; later the
failure is an error, since the text may have been shown. Imports no torch.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from incoder.inference.candidates import CandidateState, candidate_seed, ranked
from incoder.inference.decoding.infill_text import InfillText
from incoder.inference.decoding.sequence_state import Decoded
from incoder.inference.prompts.prompter import Prompt, Prompter
from incoder.inference.request_state import RequestState
from incoder.inference.scored_rows import full_text_rows
from incoder.inference.upstream.infill_writer import InfillWriter
from incoder.inference.upstream.scoring import Scorer
from incoder.inference.upstream.servers import UpstreamServers
from incoder.inference.upstream.written_tokens import WrittenTokens
from incoder.request import InfillRequest
from incoder.results import InfillResult, OnInfill, OnText, Usage

_BYTES_PER_TOKEN = 3  # of code, about: only for counts of tokens


class UpstreamInfilling(RequestState):
    """The infilling of one request by the servers of one model.

    With `counts_bytes`, the vocabulary's tokens are bytes, of which the server's own tokens have several.
    """

    def __init__(
        self,
        servers: UpstreamServers,
        scorer: Scorer,
        prompter: Prompter,
        request: InfillRequest,
        *,
        counts_bytes: bool = False,
        allows_tags: bool = True,
        on_infill: OnInfill | None = None,
        on_text: OnText | None = None,
    ) -> None:
        super().__init__(
            prompter,
            request,
            allows_tags=allows_tags,
            chooses_ends=False,
            on_infill=on_infill,
            on_text=on_text,
        )
        self._servers = servers
        self._scorer = scorer
        self._vocabulary = prompter.vocabulary
        self._counts_bytes = counts_bytes

    async def run(self) -> InfillResult:
        """Fill the holes in every candidate. The time limit counts from now."""
        self._start_clock()
        states = [CandidateState(index) for index in range(self._request.num_sequences)]
        is_ranked = len(states) > 1 and self._request.rank_by != "none"
        await _all(self._fill(state, is_ranked=is_ranked) for state in states)
        candidates = [state.result(self._parts, self._vocabulary.tokenizer) for state in states]
        if self._request.rank_by == "none":
            return InfillResult(tuple(candidates), self._usage, self._shown, self._timing())
        values = [self._value(one) for one in candidates]
        standings = self._standings(states)
        if self._ranks_by_full_text(states):
            best = max(standings)
            chosen = [index for index, one in enumerate(standings) if one == best]
            infills = [states[index].infills for index in chosen]
            full_texts = await self._scorer.answer(full_text_rows(self._prompter, self._texts, infills))
            for index, full_text in zip(chosen, full_texts, strict=True):
                values[index] += full_text
        return InfillResult(ranked(candidates, standings, values), self._usage, self._shown, self._timing())

    async def _fill(self, state: CandidateState, *, is_ranked: bool) -> None:
        """Fill all holes of one candidate."""
        while len(state.infills) < self._request.num_infills:
            if state.infills and self._is_time_up():
                self._leave_empty([state])
                return
            await self._fill_window(state, is_ranked=is_ranked)

    async def _fill_window(self, state: CandidateState, *, is_ranked: bool) -> None:
        """Fill the holes of one candidate that fit into one window."""
        prompt, max_positions = self._prompt(state), self._prompter.max_positions
        self._check_space(prompt, max_positions)
        await self._show(prompt)
        context = list(prompt.token_ids)
        sampling = replace(self._sampling, temperature=0.0) if self._is_greedy(state) else self._sampling
        for hole, required in enumerate(prompt.required_prefixes):
            if hole:
                if self._is_time_up():
                    return
                context += [self._prompter.end_id, *prompt.hole_starts[hole]]
                if len(context) + self._prompter.infill_budget > max_positions:
                    return
            writer = InfillWriter(
                servers=self._servers,
                vocabulary=self._vocabulary,
                request=replace(self._request, sampling=sampling),
                context=context,
                text=InfillText(required, sampling, self._stopping(state)),
                seed=candidate_seed(sampling.seed, state.index, context)
                >> 1,  # of 31 bits: some know no more
                num_free=None if self._counts_bytes else max_positions - len(context),
                deadline=self._deadline,
                is_ranked=is_ranked,
                on_bytes=partial(self._pass_on, state),
                on_first_token=self._note_prefill,
            )
            decoded = await writer.write()
            self._count(0 if hole else len(context), writer.num_cached, decoded)
            context += self._vocabulary.tokenizer.encode_bytes(required + decoded.spelling)
            self._add(state, decoded)

    async def _show(self, prompt: Prompt) -> None:
        """Keep the first prompt, with its log-probabilities for `echo`."""
        if self._shown is not None:
            return
        self._shown = self._prompter.shown(prompt)
        if self._request.echo:
            num_alternatives = self._request.num_alternatives
            piece = await self._scorer.echo(prompt.token_ids, num_alternatives)
            written = WrittenTokens(self._vocabulary, num_alternatives)
            tokens = written.given(prompt.token_ids, piece.tokens)
            self._shown = replace(self._shown, tokens=tokens)

    def _count(self, num_prompt: int, num_cached: int, decoded: Decoded) -> None:
        """Count the tokens of one infill, and of the prompt before it; from bytes they are estimated."""
        num_written = len(decoded.logprobs)
        if not num_written:
            num_written = len(self._vocabulary.tokenizer.encode_bytes(decoded.spelling))
            num_written = self._num_tokens(num_written)
        usage = self._usage
        self._usage = Usage(
            usage.num_prompt_tokens + self._num_tokens(num_prompt),
            usage.num_cached_tokens + num_cached,
            usage.num_completion_tokens + num_written,
        )

    def _num_tokens(self, num_ids: int) -> int:
        return -(-num_ids // _BYTES_PER_TOKEN) if self._counts_bytes else num_ids


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines side by side; the first error cancels the others."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
