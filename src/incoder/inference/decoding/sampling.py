"""From logits to the next token: pure functions, randomness comes in as numbers.

The order is fixed: logit bias, repetition penalty, presence and frequency penalty, temperature, top-k, top-p,
min-p, as in Hugging Face's `generate`; request.py says what they mean. Knows no model, no cache and no text.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from incoder.errors import IncoderError
from incoder.sampling_params import SamplingParams

_FIRST_SORTED = 128  # tokens that nearly always hold top_p; sorting 8,192 takes 0.5 ms, finding these 0.05 ms


def candidate_rng(seed: int, candidate: int) -> torch.Generator:
    """The random numbers of one candidate, the same on every device."""
    # A large odd multiplier spreads (seed, candidate) so that neighbours share no numbers.
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + candidate) % 2**63)


def check_log_sums(log_sums: Iterable[float]) -> None:
    """Refuse logits that are no numbers, by the logarithms of their sums of exponentials.

    Raises:
        IncoderError: one of the logarithms is not finite.
    """
    if not all(map(math.isfinite, log_sums)):
        raise IncoderError(
            "the model computed something that is no number, as float16 does where it overflows; load it "
            "with the dtype bfloat16 or float32"
        )


class Penalised(Protocol):
    """A sequence as far as penalties are concerned."""

    @property
    def seen(self) -> Collection[int]:
        """The tokens that it has read or written, for the repetition penalty."""

    @property
    def counts(self) -> Mapping[int, int]:
        """How often it has written each token, for the presence and frequency penalties."""


def adjusted(logits_BV: Tensor, params: SamplingParams, sequences: Sequence[Penalised]) -> Tensor:
    """The logits with bias and penalties; row i is that of sequence i."""
    if not params.changes_logits:
        return logits_BV
    logits_BV = logits_BV.clone()
    for token_id, bias in params.logit_bias.items():
        logits_BV[:, token_id] += bias
    for logits_V, sequence in zip(logits_BV, sequences, strict=True):
        if params.repetition_penalty != 1:
            ids = torch.tensor(sorted(sequence.seen), dtype=torch.long, device=logits_V.device)
            penalised = logits_V[ids]
            logits_V[ids] = torch.where(
                penalised > 0, penalised / params.repetition_penalty, penalised * params.repetition_penalty
            )
        if params.counts_tokens and sequence.counts:
            ids = torch.tensor([*sequence.counts], device=logits_V.device)
            counts = torch.tensor([*sequence.counts.values()], device=logits_V.device)
            logits_V[ids] -= params.presence_penalty + params.frequency_penalty * counts
    return logits_BV


def most_probable(logits_BV: Tensor, num_tokens: int) -> list[list[tuple[int, float]]]:
    """The most probable tokens of each row with their log-probabilities, the best first; none for 0."""
    if not num_tokens:
        return [[] for _ in range(len(logits_BV))]
    logprobs_BK, token_ids_BK = logits_BV.log_softmax(dim=-1).topk(min(num_tokens, logits_BV.shape[-1]))
    return [
        list(zip(token_ids, logprobs, strict=True))
        for token_ids, logprobs in zip(token_ids_BK.tolist(), logprobs_BK.tolist(), strict=True)
    ]


def next_token_probabilities(logits_BV: Tensor, params: SamplingParams) -> Tensor:
    """The distribution that is sampled from: `logits_BV` after temperature, top-k and top-p.

    Tokens that must not be generated have a logit of minus infinity. Greedy decoding puts all
    probability on one of the largest logits.
    """
    if params.temperature == 0:
        best_B1 = logits_BV.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits_BV).scatter_(-1, best_B1, 1.0)
    kept_BK, token_ids_BK = _kept(logits_BV, params)
    kept_BK = kept_BK / kept_BK.sum(dim=-1, keepdim=True)
    return torch.zeros_like(logits_BV).scatter_(-1, token_ids_BK, kept_BK)


def choose(logits_BV: Tensor, params: SamplingParams, rngs: Sequence[torch.Generator]) -> Tensor:
    """One token for each row; row i takes one random number from `rngs[i]`, greedy decoding takes none.

    Logits that are no numbers give some token, too.
    """
    if params.temperature == 0:
        return logits_BV.argmax(dim=-1)
    kept_BK, token_ids_BK = _kept(logits_BV, params)
    cumulative_BK = kept_BK.double().cumsum(dim=-1)
    uniform_B = torch.cat([torch.rand(1, generator=rng, dtype=torch.float64) for rng in rngs])
    threshold_B1 = uniform_B.to(cumulative_BK.device)[:, None] * cumulative_BK[:, -1:]
    # right=True: a token without probability, whose cumulative sum equals its neighbour's, is never hit.
    place_B1 = torch.searchsorted(cumulative_BK, threshold_B1, right=True).clamp_(max=kept_BK.shape[1] - 1)
    return token_ids_BK.gather(-1, place_B1)[:, 0]


def _kept(logits_BV: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """The probabilities of the tokens that are kept, not normalised, and their ids."""
    kept_BK, token_ids_BK = _kept_by_rank(logits_BV, params)
    if params.min_p:
        kept_BK = kept_BK.masked_fill(kept_BK < params.min_p * kept_BK.amax(dim=-1, keepdim=True), 0.0)
    return kept_BK, token_ids_BK


def _kept_by_rank(logits_BV: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """The tokens that top-k and top-p keep."""
    logits_BV = logits_BV - logits_BV.amax(dim=-1, keepdim=True)  # a tiny temperature must not overflow
    probabilities_BV = torch.softmax(logits_BV / params.temperature, dim=-1)
    vocab_size = logits_BV.shape[-1]
    if params.top_k is not None:
        largest_BK, token_ids_BK = probabilities_BV.topk(min(params.top_k, vocab_size), dim=-1)
        return _nucleus(largest_BK / largest_BK.sum(dim=-1, keepdim=True), params.top_p), token_ids_BK
    if params.top_p == 1:
        return probabilities_BV, torch.arange(vocab_size, device=logits_BV.device).expand_as(logits_BV)
    largest_BK, token_ids_BK = _ranked(probabilities_BV, params.top_p)
    return _nucleus(largest_BK, params.top_p), token_ids_BK


def _ranked(probabilities_BV: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The most probable tokens, at least those of the nucleus, equal ones by their ids; and the ids.

    If the first few suffice for all rows only they are found, else all are sorted. Both give the same result.
    """
    if probabilities_BV.shape[-1] > _FIRST_SORTED:
        largest_BK, token_ids_BK = probabilities_BV.topk(_FIRST_SORTED, dim=-1)
        # Tokens as probable as the last one may be missing although their ids are smaller.
        may_be_missing_BK = largest_BK == largest_BK[:, -1:]
        if not bool((_nucleus(largest_BK, top_p) * may_be_missing_BK).any()):
            token_ids_BK = token_ids_BK.sort(dim=-1).values
            largest_BK, order_BK = probabilities_BV.gather(-1, token_ids_BK).sort(
                dim=-1, descending=True, stable=True
            )
            return largest_BK, token_ids_BK.gather(-1, order_BK)
    largest_BV, token_ids_BV = probabilities_BV.sort(dim=-1, descending=True, stable=True)
    return largest_BV, token_ids_BV


def _nucleus(sorted_BK: Tensor, top_p: float) -> Tensor:
    """The smallest set that reaches `top_p`: a token stays while those before it have not reached it."""
    if top_p == 1:
        return sorted_BK
    mass_before_BK = sorted_BK.cumsum(dim=-1) - sorted_BK
    return sorted_BK.masked_fill(mass_before_BK >= top_p, 0.0)
