"""Beam search for one hole or completion: the most probable infills instead of sampled ones.

It follows the rules of transformers' `generate(num_beams=…)`, so the results are the same on the same
weights. Beams are rows of one `Sequences`, which shares the cache blocks of their common prefix.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from incoder.inference.decoding.sampling import adjusted, check_log_sums, most_probable
from incoder.inference.decoding.sequence_state import Decoded, SequenceState
from incoder.inference.decoding.stopping_rules.stopping import StoppingRules
from incoder.inference.language_model import Forward, Generation, Sequences
from incoder.inference.memory.prior import NextTokenPrior
from incoder.inference.vocabulary import Vocabulary
from incoder.sampling_params import SamplingParams

_MAX_CHOICES = 8  # after that many, a token is taken even if it is refused


@dataclass(frozen=True, slots=True)
class _Beam:
    """An infill so far, and the sum of its tokens' log-probabilities, adjusted."""

    state: SequenceState
    total: float
    parent: int  # the beam of the last step that it continues

    def score(self, num_tokens: int, length_penalty: float) -> float:
        return self.total / float(num_tokens**length_penalty)


def beam_search(
    sequences: Sequences,
    logits_1V: Tensor,
    *,
    required_prefix: bytes,
    params: SamplingParams,
    vocabulary: Vocabulary,
    max_positions: int,
    context: Sequence[int] = (),
    stopping: StoppingRules | None = None,
    prior: NextTokenPrior | None = None,
    left_context: Sequence[int] = (),
    num_alternatives: int = 0,
    is_time_up: Callable[[], bool] = lambda: False,
) -> Generation[list[Decoded]]:
    """Return the `params.num_beams` best infills that were found, or fewer, the best first.

    An infill's score is the sum of its tokens' log-probabilities, divided by their number (the end token
    included) to the power of `length_penalty`. Bias and penalties change the log-probabilities before they
    are added up; the repetition penalty also applies to tokens in `context`. The search ends when no beam can
    become better than the worst of `num_beams` finished infills, or with `early_stopping` as soon as that
    many are finished. `prior` and `left_context` are as for `decoding`. Afterwards the contents of the
    sequences are undefined.
    """
    num_beams = params.num_beams
    num_kept = max(2, 1 + len(vocabulary.end_ids)) * num_beams  # enough are left even if many beams end
    finished: list[tuple[float, SequenceState]] = []
    max_tokens = max_positions - sequences.lengths[0]
    state = SequenceState(required_prefix, params, max_tokens, vocabulary, context, stopping, left_context)
    beams = [_Beam(state, 0.0, 0)]
    logits_BV, num_tokens = logits_1V, 0
    while True:
        num_tokens += 1
        if prior is not None:
            logits_BV = prior.mix(logits_BV, [beam.state.left_context for beam in beams])
        continued = _continued(beams, logits_BV, params, vocabulary, num_kept, num_alternatives)
        finished += [
            (beam.score(num_tokens, params.length_penalty), beam.state)
            for beam in continued[:num_beams]
            if beam.state.finish_reason is not None
        ]
        finished = sorted(finished, key=lambda scored: -scored[0])[:num_beams]
        beams = [beam for beam in continued if beam.state.finish_reason is None][:num_beams]
        if not beams or _is_over(beams, finished, num_tokens, params):
            break
        if is_time_up():
            for beam in beams:
                beam.state.end("time")
            finished += [(beam.score(num_tokens, params.length_penalty), beam.state) for beam in beams]
            finished = sorted(finished, key=lambda scored: -scored[0])[:num_beams]
            break
        sequences.select([beam.parent for beam in beams])
        logits_BV = yield Forward(sequences, [beam.state.next_to_read for beam in beams])
    return [state.decoded() for _, state in finished]


def _continued(
    beams: list[_Beam],
    logits_BV: Tensor,
    params: SamplingParams,
    vocabulary: Vocabulary,
    num_kept: int,
    num_alternatives: int,
) -> list[_Beam]:
    """Return the beams with one more token, the most probable first."""
    states = [beam.state for beam in beams]
    log_sums_B = logits_BV.logsumexp(dim=-1)
    logprobs_BV = logits_BV - log_sums_B[:, None]
    scores_BV = adjusted(logprobs_BV, params, states)
    totals_B = torch.tensor([beam.total for beam in beams], device=logits_BV.device)
    check_log_sums(log_sums_B.tolist())
    rankings = most_probable(logits_BV, num_alternatives)
    found: list[tuple[int, int, float]] = []
    for _ in range(_MAX_CHOICES):
        totals_BV = totals_B[:, None] + vocabulary.permitted(scores_BV, states)
        totals_K, places_K = totals_BV.flatten().topk(min(num_kept, totals_BV.numel()))
        likely = [
            (*divmod(place, logits_BV.shape[-1]), total)
            for total, place in zip(totals_K.tolist(), places_K.tolist(), strict=True)
            if total > -torch.inf
        ]
        found = likely or found  # if all are refused, the last ones are taken
        refused = [
            (parent, token_id) for parent, token_id, _ in likely if states[parent].is_refused(token_id)
        ]
        if not refused:
            break
        for parent, token_id in refused:
            states[parent].refuse([token_id])
    continued = []
    for parent, token_id, total in found:
        logprob = float(logprobs_BV[parent, token_id])
        state = states[parent].copy()
        state.take(token_id, logprob, rankings[parent])
        continued.append(_Beam(state, total, parent))
    return continued


def _is_over(
    beams: list[_Beam], finished: list[tuple[float, SequenceState]], num_tokens: int, params: SamplingParams
) -> bool:
    if len(finished) < params.num_beams:
        return False
    return params.early_stopping or beams[0].score(num_tokens, params.length_penalty) <= finished[-1][0]
