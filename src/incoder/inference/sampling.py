"""From logits to the next token: pure functions, randomness comes in as numbers.

What the settings mean, and the one rule of order: logit bias, repetition penalty, temperature, top-k, top-p,
min-p, as in Hugging Face's `generate`. Knows no model, no cache and no text.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real

import torch
from torch import Tensor

from incoder.errors import IncoderError

_FIRST_SORTED = 128  # tokens that nearly always hold top_p; sorting 8,192 takes 0.5 ms, finding these 0.05 ms


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How a fill or a completion is generated.

    `temperature` 0 is greedy decoding. `top_k` None and `top_p` 1 keep every token. Candidate i draws its
    random numbers from (`seed`, i) alone, so it does not depend on how many others there are. A `stop` string
    ends a fill where it first appears and is not part of it. `min_p` leaves out tokens that are less probable
    than this share of the most probable one. `repetition_penalty` divides positive logits of tokens that were
    read or written before, and multiplies negative ones; `logit_bias` is added to the logits of these ids.
    `time_limit` is in seconds, for all holes; `speculate` saves time and changes nothing else. More than one
    beam (`num_beams`) means beam search instead of drawing (beam_search.py tells of the other two settings).

    Raises:
        IncoderError: a value of the wrong kind or outside of its range.
    """

    temperature: float = 0.2
    top_p: float = 0.95
    top_k: int | None = None
    max_new_tokens: int = 128
    seed: int = 0
    stop: tuple[str, ...] = ()
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    time_limit: float | None = None
    speculate: bool = True
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool = False

    def __post_init__(self) -> None:
        self._check_kinds()
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
        if not 0 <= self.min_p <= 1:
            raise IncoderError(f"min_p must be in [0, 1], got {self.min_p:g}")
        if not (math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0):
            raise IncoderError(
                f"repetition_penalty must be greater than 0 (1 is none), got {self.repetition_penalty:g}"
            )
        if not all(isinstance(bias, Real) and math.isfinite(bias) for bias in self.logit_bias.values()):
            raise IncoderError(f"a logit_bias must be a finite number, got {dict(self.logit_bias)}")
        if self.num_beams < 1:
            raise IncoderError(f"num_beams must be at least 1, got {self.num_beams}")
        if not math.isfinite(self.length_penalty):
            raise IncoderError(f"length_penalty must be a finite number, got {self.length_penalty:g}")
        if self.time_limit is not None and not self.time_limit > 0:
            raise IncoderError(f"time_limit must be greater than 0 seconds, got {self.time_limit:g}")

    @property
    def takes_the_greatest(self) -> bool:
        """Whether the greatest logit decides, as the model gave it."""
        return self.temperature == 0 and not self.logit_bias and self.repetition_penalty == 1

    def _check_kinds(self) -> None:
        for name in ("max_new_tokens", "seed", "num_beams", "top_k"):
            value = getattr(self, name)
            if not (isinstance(value, Integral) or (name == "top_k" and value is None)):
                raise IncoderError(f"{name} must be a whole number, got {value!r}")
        for name in ("temperature", "top_p", "min_p", "repetition_penalty", "length_penalty", "time_limit"):
            value = getattr(self, name)
            if not (isinstance(value, Real) or (name == "time_limit" and value is None)):
                raise IncoderError(f"{name} must be a number, got {value!r}")
        if isinstance(self.stop, str) or not all(isinstance(stop, str) for stop in self.stop):
            raise IncoderError(f"stop must be a tuple of strings, got {self.stop!r}")
        for token_id in self.logit_bias:
            if not isinstance(token_id, Integral):
                raise IncoderError(f"logit_bias is for token ids, which are whole numbers, got {token_id!r}")


def random_stream(seed: int, candidate: int) -> torch.Generator:
    """The random numbers of one candidate, the same on every device."""
    # A large odd multiplier spreads (seed, candidate) so that neighbours share no stream.
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + candidate) % 2**63)


def check_log_sums(log_sums: Iterable[float]) -> None:
    """Refuse logits whose sum of exponentials, of which this is the logarithm, is none.

    Raises:
        IncoderError: a row with no such number.
    """
    if not all(map(math.isfinite, log_sums)):
        raise IncoderError(
            "the model computed something that is no number, as float16 does where it overflows; load it "
            "with the dtype bfloat16 or float32"
        )


def adjusted(logits_BV: Tensor, params: SamplingParams, seen: Sequence[Collection[int]]) -> Tensor:
    """The logits with bias and repetition penalty; row i has read and written the tokens `seen[i]`."""
    if not params.logit_bias and params.repetition_penalty == 1:
        return logits_BV
    logits_BV = logits_BV.clone()
    for token_id, bias in params.logit_bias.items():
        logits_BV[:, token_id] += bias
    if params.repetition_penalty != 1:
        for logits_V, token_ids in zip(logits_BV, seen, strict=True):
            ids = torch.tensor(sorted(token_ids), dtype=torch.long, device=logits_V.device)
            penalised = logits_V[ids]
            logits_V[ids] = torch.where(
                penalised > 0, penalised / params.repetition_penalty, penalised * params.repetition_penalty
            )
    return logits_BV


def next_token_probabilities(logits_BV: Tensor, params: SamplingParams) -> Tensor:
    """What is sampled from: `logits_BV` after temperature, top-k and top-p, as probabilities.

    Tokens that must not be generated come in with a logit of minus infinity. Greedy decoding puts all
    probability on one of the largest logits.
    """
    if params.temperature == 0:
        best_B1 = logits_BV.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits_BV).scatter_(-1, best_B1, 1.0)
    kept_BK, token_ids_BK = _kept(logits_BV, params)
    kept_BK = kept_BK / kept_BK.sum(dim=-1, keepdim=True)
    return torch.zeros_like(logits_BV).scatter_(-1, token_ids_BK, kept_BK)


def choose(logits_BV: Tensor, params: SamplingParams, streams: Sequence[torch.Generator]) -> Tensor:
    """One token for each row; row i takes one random number from `streams[i]`, greedy decoding takes none.

    Logits that are no numbers give some token, too.
    """
    if params.temperature == 0:
        return logits_BV.argmax(dim=-1)
    kept_BK, token_ids_BK = _kept(logits_BV, params)
    cumulative_BK = kept_BK.double().cumsum(dim=-1)
    uniform_B = torch.cat([torch.rand(1, generator=stream, dtype=torch.float64) for stream in streams])
    threshold_B1 = uniform_B.to(cumulative_BK.device)[:, None] * cumulative_BK[:, -1:]
    # right=True: a token without probability, whose cumulative sum equals its neighbour's, is never hit.
    place_B1 = torch.searchsorted(cumulative_BK, threshold_B1, right=True).clamp_(max=kept_BK.shape[1] - 1)
    return token_ids_BK.gather(-1, place_B1)[:, 0]


def _kept(logits_BV: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """The probabilities that are left, not normalised, and whose they are."""
    kept_BK, token_ids_BK = _kept_by_rank(logits_BV, params)
    if params.min_p:
        kept_BK = kept_BK.masked_fill(kept_BK < params.min_p * kept_BK.amax(dim=-1, keepdim=True), 0.0)
    return kept_BK, token_ids_BK


def _kept_by_rank(logits_BV: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """What top-k and top-p leave."""
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
    """The most probable tokens, as many as the nucleus needs at least, equal ones by their ids; and whose.

    Where finding a few suffices for all rows they are found, else all are sorted: no row can tell.
    """
    if probabilities_BV.shape[-1] > _FIRST_SORTED:
        largest_BK, token_ids_BK = probabilities_BV.topk(_FIRST_SORTED, dim=-1)
        # Of those as probable as the last one, others that come first by their ids may be missing.
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
