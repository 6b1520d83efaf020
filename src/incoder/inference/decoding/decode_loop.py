"""The decode loop, for one hole or completion in all rows of a batch: choose a token, read it, repeat.

Works on token ids and bytes, with a model as `Sequences`. Knows no texts, no windows, and nothing of the
rest of the prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from incoder.inference.decoding.greedy import choose_greedy, with_logprobs
from incoder.inference.decoding.prompt_lookup import PromptLookup
from incoder.inference.decoding.sampling import adjusted, check_log_sums, choose, most_probable
from incoder.inference.decoding.sequence_state import Beginning, Decoded, Ranking, SequenceState
from incoder.inference.decoding.stopping_rules.stopping import StoppingRules
from incoder.inference.language_model import Forward, Generation, Sequences
from incoder.inference.memory.prior import NextTokenPrior
from incoder.inference.vocabulary import Vocabulary
from incoder.sampling_params import SamplingParams

OnBytes = Callable[[int, bytes], None]

# If a chosen token is refused, this many of the most probable ones are checked before the next choice.
_CHECKED = 64
_MAX_CHOICES = 8  # after that many, a token is taken even if it is refused


def decoding(
    sequences: Sequences,
    logits_BV: Tensor,
    *,
    required_prefix: bytes,
    params: SamplingParams,
    rngs: Sequence[torch.Generator | None],
    vocabulary: Vocabulary,
    max_positions: int,
    contexts: Sequence[Sequence[int]] | None = None,
    stopping: Sequence[StoppingRules] | None = None,
    prior: NextTokenPrior | None = None,
    left_context: Sequence[int] = (),
    num_alternatives: int = 0,
    num_permitted: int = 0,
    beginnings: Sequence[Beginning] = (),
    is_time_up: Callable[[], bool] = lambda: False,
    on_bytes: OnBytes | None = None,
) -> Generation[list[Decoded]]:
    """Generate in every row up to an end token, a stop string, a stopping rule, or a limit.

    `logits_BV` are the logits after the tokens that the rows have read. Each row samples with a generator of
    its own; one without a generator is greedy. The first tokens must spell the bytes `required_prefix`, which
    are not part of the infill and do not count as new. `contexts` are the tokens that each row has read, for
    penalties and drafts. A row's stopping rules may end its infill early. If there is a `prior`, its
    distribution is mixed into the model's; it sees the last tokens of the text before the hole
    (`left_context`) and the tokens chosen so far. For each place, the result has the permitted tokens among
    the `num_permitted` most probable ones. `on_bytes(row, data)` is called with bytes of the infill once they
    can no longer be retracted.

    If there are `beginnings`, one for each row, these are the first tokens of the infills, and `logits_BV` is
    not looked at.

    A single sequence verifies prompt-lookup drafts in the forward pass of its last token. Accepted or not,
    each token is chosen from the same logits with the same random number, so drafts never change the result.
    """
    lengths = sequences.lengths
    contexts = contexts or [()] * len(lengths)
    rules: Sequence[StoppingRules | None] = stopping or [None] * len(lengths)
    starts = beginnings or [Beginning()] * len(lengths)
    states = [
        SequenceState(
            required_prefix,
            params,
            max_positions - (length - start.num_read),
            vocabulary,
            context,
            rule,
            left_context,
            start,
        )
        for length, context, rule, start in zip(lengths, contexts, rules, starts, strict=True)
    ]
    chooser = _Chooser(states, params, rngs, vocabulary, num_alternatives, num_permitted, prior)
    lookup = None
    if params.speculate and len(states) == 1 and contexts[0] and not beginnings:
        never = vocabulary.layout.never_generated_ids | vocabulary.end_ids
        lookup = PromptLookup(contexts[0], never, chooser.draft_of_prior)
    draft: list[int] = []
    first_BV = logits_BV
    if any(unread := [state.next_to_read for state in states]):
        logits_BV = yield Forward(sequences, unread)
    while live := [index for index, state in enumerate(states) if state.finish_reason is None]:
        if is_time_up():
            for index in live:
                states[index].end("time")
            if draft:
                sequences.rollback(0, len(draft))
            break
        if lookup is None:
            logits_BV = logits_BV[live] if len(live) < len(states) else logits_BV
            chooser.choose(live, logits_BV)
        else:
            num_accepted = chooser.choose_along(draft, logits_BV, lookup)
            if num_accepted < len(draft):
                sequences.rollback(0, len(draft) - num_accepted)
        for index in live:
            if states[index].is_to_be_repeated:
                sequences.rollback(index, states[index].num_read - states[index].beginning.num_read)
                states[index] = states[index].repeated()
                if not beginnings:
                    chooser.choose([index], first_BV[index : index + 1])
        if on_bytes is not None:
            for index in live:
                on_bytes(index, states[index].newly_committed())
        if all(state.finish_reason is not None for state in states):
            break
        if lookup is not None:
            draft = lookup.draft(states[0].max_draft_tokens)
        if draft:
            logits_BV = yield Forward(sequences, [[*states[0].next_to_read, *draft]], all_logits=True)
        else:
            logits_BV = yield Forward(sequences, [state.next_to_read for state in states])
    for index, state in enumerate(states):
        if state.num_to_roll_back:
            sequences.rollback(index, state.num_to_roll_back)
        if on_bytes is not None:
            on_bytes(index, state.newly_committed())
    return [state.decoded() for state in states]


@dataclass(frozen=True, slots=True)
class _Chooser:
    """Chooses the next tokens of the sequences, each with its own generator."""

    states: Sequence[SequenceState]
    params: SamplingParams
    rngs: Sequence[torch.Generator | None]
    vocabulary: Vocabulary
    num_alternatives: int
    num_permitted: int
    prior: NextTokenPrior | None

    def choose(self, live: Sequence[int], logits_BV: Tensor) -> None:
        """Choose the next token of each sequence that is live, again for those whose token is refused."""
        for number in range(_MAX_CHOICES):
            is_last = number == _MAX_CHOICES - 1
            again = self._choose_once(live, logits_BV, takes_refused=is_last)
            if not again:
                return
            live, logits_BV = [live[row] for row in again], logits_BV[again]

    def _choose_once(self, live: Sequence[int], logits_BV: Tensor, *, takes_refused: bool) -> list[int]:
        """Choose tokens, and take those that are not refused; returns the rows of the others."""
        states = [self.states[index] for index in live]
        own_BV, logits_BV = logits_BV, self._mixed(logits_BV, states)
        permitted_BV = None
        if self._is_plain(states):
            results_3B = choose_greedy(logits_BV, self.vocabulary.bias_for(logits_BV))
        else:
            free_BV = logits_BV
            if self.prior is not None and any(state.is_constrained for state in states):
                # Restrict both distributions to what is permitted, then mix them. After mixing, the one that
                # finds the permitted tokens less improbable would decide alone.
                free_BV = self._mixed(self.vocabulary.permitted(own_BV, states), states)
            adjusted_BV = adjusted(free_BV, self.params, states)
            permitted_BV = self.vocabulary.permitted(adjusted_BV, states)
            token_ids_B = choose(permitted_BV, self.params, [self.rngs[index] for index in live])
            results_3B = with_logprobs(logits_BV, token_ids_B)
        rankings = most_probable(logits_BV, self.num_alternatives)
        permitted = self._most_probable_permitted(logits_BV, permitted_BV)
        # One transfer for all rows: the CPU waits for a GPU only here, and for lists of probable tokens.
        results = zip(*results_3B.tolist(), strict=True)
        again = []
        found = zip(states, results, rankings, permitted, strict=True)
        for row, (state, result, ranking, others) in enumerate(found):
            check_log_sums(result[2:])
            is_refused = not takes_refused and state.is_refused(int(result[0]))
            if is_refused and self._refuse(state, int(result[0]), logits_BV[row : row + 1]):
                again.append(row)
            else:
                state.take(int(result[0]), result[1], ranking, state.not_refused(others))
        return again

    def _most_probable_permitted(
        self, logits_BV: Tensor, permitted_BV: Tensor | None = None
    ) -> list[Ranking]:
        """The most probable tokens by `permitted_BV`, with their log-probabilities by `logits_BV`.

        Without `permitted_BV`, all tokens are permitted that are ever generated. A rule may yet refuse some.
        """
        if not self.num_permitted:
            return [()] * len(logits_BV)
        if permitted_BV is None:
            permitted_BV = logits_BV + self.vocabulary.bias_for(logits_BV)
        values_BK, token_ids_BK = permitted_BV.topk(min(self.num_permitted, logits_BV.shape[1]))
        logprobs_BK = logits_BV.gather(1, token_ids_BK) - logits_BV.logsumexp(dim=-1, keepdim=True)
        logprobs_BK = logprobs_BK.masked_fill(values_BK == -torch.inf, -torch.inf)
        return [
            list(zip(ids, logprobs, strict=True))
            for ids, logprobs in zip(token_ids_BK.tolist(), logprobs_BK.tolist(), strict=True)
        ]

    def _refuse(self, state: SequenceState, token_id: int, logits_1V: Tensor) -> bool:
        """Refuse a token, and others that are probable; returns whether a permitted one may be left."""
        (permitted_V,) = self.vocabulary.permitted(adjusted(logits_1V, self.params, [state]), [state])
        values_K, token_ids_K = permitted_V.topk(min(_CHECKED, len(permitted_V)))
        found = zip(token_ids_K.tolist(), values_K.tolist(), strict=True)
        likely = [one for one, value in found if value > -torch.inf]
        refused = {token_id, *filter(state.is_refused, likely)}
        if len(likely) < _CHECKED and refused.issuperset(likely):
            return False
        state.refuse(sorted(refused))
        return True

    def choose_along(self, draft: Sequence[int], logits_TV: Tensor, lookup: PromptLookup) -> int:
        """Verify a draft: choose the only sequence's next tokens, up to the first that differs from it.

        Returns the number of accepted draft tokens.
        """
        (state,) = self.states
        num_accepted = 0
        results = None
        # If no choice depends on the one before, one transfer is enough for all of them.
        if self.prior is None and self._is_plain(self.states):
            results_3T = choose_greedy(logits_TV, self.vocabulary.bias_for(logits_TV))
            results = list(zip(*results_3T.tolist(), strict=True))
            rankings = most_probable(logits_TV, self.num_alternatives)
            permitted = self._most_probable_permitted(logits_TV)
        for place in range(len(draft) + 1):
            if results is not None and not state.is_refused(int(results[place][0])):
                token_id, logprob, log_sum = results[place]
                check_log_sums([log_sum])
                others = state.not_refused(permitted[place])
                state.take(int(token_id), logprob, rankings[place], others)
            else:
                self.choose([0], logits_TV[place : place + 1])
            lookup.add(state.last_token_id)
            if state.finish_reason is not None or place == len(draft) or state.last_token_id != draft[place]:
                break
            num_accepted += 1
        if draft:
            lookup.observe(len(draft), num_accepted)
            state.num_draft_tokens += len(draft)
            state.num_accepted_tokens += num_accepted
        return num_accepted

    def draft_of_prior(self, max_num_tokens: int) -> list[int]:
        """The tokens with which the prior continues the only sequence; none without a prior."""
        return [] if self.prior is None else self.prior.draft(self.states[0].left_context, max_num_tokens)

    def _mixed(self, logits_BV: Tensor, states: Sequence[SequenceState]) -> Tensor:
        """The logits of the distribution mixed with the prior's; the same ones without a prior."""
        if self.prior is None:
            return logits_BV
        return self.prior.mix(logits_BV, [state.left_context for state in states])

    def _is_plain(self, states: Sequence[SequenceState]) -> bool:
        """Whether each of these states takes the greatest logit of all tokens that are ever generated."""
        return self.params.takes_the_greatest and not any(state.is_constrained for state in states)
