"""From logits to the next token: pure functions, randomness comes in as numbers.

What the settings mean, and the one rule of order: temperature, then top-k, then top-p, as in Hugging Face's
`generate`. Knows no model, no cache and no text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from incoder.errors import IncoderError


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How a fill or a completion is generated.

    `temperature` 0 is greedy decoding. `top_k` None and `top_p` 1 keep every token. Candidate i draws its
    random numbers from (`seed`, i) alone, so it does not depend on how many others there are. A `stop` string
    ends a fill where it first appears and is not part of it.

    Raises:
        IncoderError: a value outside of its range.
    """

    temperature: float = 0.2
    top_p: float = 0.95
    top_k: int | None = None
    max_new_tokens: int = 128
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise IncoderError(f"temperature must be at least 0 (0 is greedy), got {self.temperature:g}")
        if not 0 < self.top_p <= 1:
            raise IncoderError(f"top_p must be in (0, 1], got {self.top_p:g}")
        if self.top_k is not None and self.top_k < 1:
            raise IncoderError(
                f"top_k must be at least 1, got {self.top_k}; leave it out to keep every token"
            )
        if self.max_new_tokens < 1:
            raise IncoderError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if not 0 <= self.seed < 2**63:
            raise IncoderError(f"seed must be in [0, 2^63), got {self.seed}")
        if "" in self.stop:
            raise IncoderError("a stop string must not be empty")


def random_stream(seed: int, candidate: int) -> torch.Generator:
    """The random numbers of one candidate, the same on every device."""
    # A large odd multiplier spreads (seed, candidate) so that neighbours share no stream.
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + candidate) % 2**63)


def next_token_probabilities(logits_BV: Tensor, params: SamplingParams) -> Tensor:
    """What is sampled from: `logits_BV` after temperature, top-k and top-p, as probabilities.

    Tokens that must not be generated come in with a logit of minus infinity. Greedy decoding puts all
    probability on the first of the largest logits.
    """
    if params.temperature == 0:
        best_B1 = logits_BV.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits_BV).scatter_(-1, best_B1, 1.0)
    logits_BV = logits_BV - logits_BV.amax(dim=-1, keepdim=True)  # a tiny temperature must not overflow
    probabilities_BV = torch.softmax(logits_BV / params.temperature, dim=-1)
    if params.top_k is not None and params.top_k < probabilities_BV.shape[-1]:
        kept_BK = probabilities_BV.topk(params.top_k, dim=-1).indices
        probabilities_BV = _renormalised(probabilities_BV, kept_BK)
    if params.top_p < 1:
        sorted_BV, order_BV = probabilities_BV.sort(dim=-1, descending=True, stable=True)
        mass_before_BV = sorted_BV.cumsum(dim=-1) - sorted_BV
        # The smallest set that reaches top_p: a token stays while those before it have not reached it.
        sorted_BV = sorted_BV.masked_fill(mass_before_BV >= params.top_p, 0.0)
        probabilities_BV = torch.zeros_like(probabilities_BV).scatter_(-1, order_BV, sorted_BV)
        probabilities_BV = probabilities_BV / probabilities_BV.sum(dim=-1, keepdim=True)
    return probabilities_BV


def choose(logits_BV: Tensor, params: SamplingParams, streams: Sequence[torch.Generator]) -> list[int]:
    """One token for each row; row i takes one random number from `streams[i]`, greedy decoding takes none."""
    if params.temperature == 0:
        return [int(token_id) for token_id in logits_BV.argmax(dim=-1)]
    cumulative_BV = next_token_probabilities(logits_BV.double(), params).cumsum(dim=-1)
    uniform_B = torch.cat([torch.rand(1, generator=stream, dtype=torch.float64) for stream in streams])
    threshold_B1 = uniform_B.to(cumulative_BV.device)[:, None] * cumulative_BV[:, -1:]
    # right=True: a token without probability, whose cumulative sum equals its neighbour's, is never hit.
    return [int(i) for i in torch.searchsorted(cumulative_BV, threshold_B1, right=True)[:, 0]]


def _renormalised(probabilities_BV: Tensor, kept_BK: Tensor) -> Tensor:
    kept_BV = torch.zeros_like(probabilities_BV).scatter_(-1, kept_BK, probabilities_BV.gather(-1, kept_BK))
    return kept_BV / kept_BV.sum(dim=-1, keepdim=True)
