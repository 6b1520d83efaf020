"""The distributions of causal masking: how many spans a text loses, and where (paper, section 2.1).

Numbers in, numbers out. Positions run from 0 to `length`. Spans are (start, end) pairs in the order of the
text; they may touch, but do not overlap. Knows no tokens and no text.
"""

import math
from bisect import bisect_right
from functools import cache
from itertools import accumulate

import numpy as np

Span = tuple[int, int]

MAX_SPANS = 256  # paper, section 2.1: Poisson(1) truncated to [1, 256], which is also the number of sentinels
_MAX_TRIES = 64  # a try succeeds with a probability of more than 0.8
_RELEASED_MAX_SPANS = 255


def truncated_poisson(mean: float, rng: np.random.Generator) -> int:
    """Draw the paper's number of spans: Poisson, truncated to [1, 256]; P(1) = 0.58 at mean 1."""
    return 1 + bisect_right(_truncated_poisson_below(mean), rng.random())


def clamped_poisson(mean: float, rng: np.random.Generator) -> int:
    """Draw the released code's number of spans: Poisson, with 1 in place of 0; P(1) = 0.74 at mean 1."""
    return min(max(1, int(rng.poisson(mean))), _RELEASED_MAX_SPANS)


def geometric(mean: float, rng: np.random.Generator) -> int:
    """Draw a number of spans with a long tail; 1, the usual number of holes, is most frequent at any mean."""
    return min(int(rng.geometric(min(1.0, 1 / mean))), MAX_SPANS)


def uniform_length_spans(num_spans: int, length: int, rng: np.random.Generator) -> list[Span]:
    """Draw the paper's spans: each length uniform in [1, length], all drawn again while any two overlap.

    Each span alone is a uniform length and then a uniform start among those where it fits. Drawing such sets
    until one has no overlap succeeds once in 7 tries for 2 spans, once in 1,000 for 4. The same distribution
    comes faster from another proposal. A set of lengths L has the probability

        P(L) ∝ (ways to place them) / ∏ (length − L_i + 1),   ways ∝ (F + 1) … (F + k),   F = length − Σ L_i.

    All sets with ways (F + 1) … (F + k − 1) instead are equally likely cuts of `length` into k positive and k
    more parts; accepting one of them with the probability (F + k) · length^(k−1) / ∏ (length − L_i + 1), at
    most 1, gives P(L). At least 82 % are accepted for any k. After 64 tries, which happens once in 10^47, the
    last set is kept: its spans do not overlap, and are drawn a little too evenly.

    `num_spans` must be in [1, length]: more spans do not fit.

    >>> uniform_length_spans(2, 10, np.random.default_rng(0))
    [(0, 3), (6, 9)]
    """
    assert 1 <= num_spans <= length
    lengths = np.array([rng.integers(1, length + 1)])
    if num_spans > 1:
        for _ in range(_MAX_TRIES):
            cuts = np.sort(rng.choice(length + num_spans - 1, 2 * num_spans - 1, replace=False))
            lengths = np.diff(cuts, prepend=-1)[:num_spans]
            rest = length - lengths + 1
            chance = (length - lengths.sum() + num_spans) / rest[0] * np.prod(length / rest[1:])
            if rng.random() < chance:
                break
    return place_spans(lengths.tolist(), length, rng)


def place_spans(lengths: list[int], length: int, rng: np.random.Generator) -> list[Span]:
    """Place spans of these lengths, in this order, evenly among all ways without an overlap."""
    num_free = length - sum(lengths)
    # Of the free positions and the spans in one row, draw which are the spans.
    slots = np.sort(rng.choice(num_free + len(lengths), len(lengths), replace=False)).tolist()
    spans, before = [], 0
    for index, (slot, span_length) in enumerate(zip(slots, lengths, strict=True)):
        start = slot - index + before
        spans.append((start, start + span_length))
        before += span_length
    return spans


def released_code_spans(num_spans: int, length: int, rng: np.random.Generator) -> list[Span]:
    """Draw the released code's spans: of k² candidates, each between two uniform positions, those that fit.

    In the order in which they are drawn, candidates stay if they intersect none before them, until there are
    `num_spans`. There may be fewer, and none if the only one is empty.
    """
    num_candidates = num_spans**2 if num_spans > 1 else 1
    boundaries = np.sort(rng.random((num_candidates, 2)), axis=1) * length
    spans: list[Span] = []
    for start, end in zip(
        boundaries[:, 0].astype(int).tolist(), (boundaries[:, 1] + 0.5).astype(int).tolist(), strict=True
    ):
        if start < end and all(end <= other[0] or start >= other[1] for other in spans):
            spans.append((start, end))
        if len(spans) == num_spans:
            break
    return sorted(spans)


@cache
def _truncated_poisson_below(mean: float) -> list[float]:
    """P(k < 2), P(k < 3), … P(k < 256) of the truncated Poisson distribution."""
    logs = [count * math.log(mean) - math.lgamma(count + 1) for count in range(1, MAX_SPANS + 1)]
    highest = max(logs)
    weights = [math.exp(log - highest) for log in logs]
    total = math.fsum(weights)
    return [below / total for below in accumulate(weights[:-1])]
