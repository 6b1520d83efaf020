"""Bins on an inverse binary logarithmic scale, for stars and scores (paper, section 3.3).

Bin 0 ends at the 50th percentile, bin 1 at the 75th, bin 2 at the 87.5th, …; the last bin begins at the 97th.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

NUM_BINS = 6


def lower_bounds(counts: Mapping[int, int]) -> tuple[int, ...]:
    """The lowest value of each bin, from the number of occurrences of each value; bounds may be equal."""
    total = sum(counts.values())
    bounds, seen = list[int](), 0
    ranks = [int(total * (1 - 0.5**number)) for number in range(NUM_BINS)]
    for value in sorted(counts):
        seen += counts[value]
        while len(bounds) < NUM_BINS and ranks[len(bounds)] < seen:
            bounds.append(value)
    return tuple(bounds)


def bin_of(value: int, bounds: Sequence[int]) -> int:
    """The bin of a value: the lowest of bins with equal bounds, and 0 below all bounds."""
    reached = bisect_right(bounds, value)
    return bisect_left(bounds, bounds[reached - 1]) if reached else 0
