"""Statistics of rates: confidence intervals by cluster bootstrap, and pass@k."""

import math
from collections.abc import Hashable, Sequence

import numpy as np

from incoder.errors import IncoderError

MIN_CLUSTERS = 5  # resampling fewer clusters says next to nothing about the problems that were not drawn


def cluster_bootstrap_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """The confidence interval of the mean of `values`, by resampling whole clusters with replacement.

    The values of one cluster are correlated (1,033 infilling tasks are cut from 164 problems), so an interval
    that resamples single values would be too narrow. The interval is of the percentile method (Efron 1979;
    for clusters Field and Welsh 2007). With fewer than 5 clusters it is None, because so few say next to
    nothing about others; a single cluster would have an interval of width 0.

    Raises:
        IncoderError: there are no values, or `level` is not in (0, 1).

    >>> cluster_bootstrap_interval([1.0] * 10, range(10))
    (1.0, 1.0)
    """
    if not values:
        raise IncoderError("an interval needs at least one value, got none")
    if not 0 < level < 1:
        raise IncoderError(f"level must be in (0, 1), got {level}")
    return ratio_interval(
        values, [1.0] * len(values), clusters, level=level, num_resamples=num_resamples, seed=seed
    )


def ratio_interval(
    values: Sequence[float],
    sizes: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """The interval of the sum of `values` divided by the sum of `sizes`, by resampling whole clusters.

    It is None if there are fewer than `MIN_CLUSTERS` clusters.
    """
    numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    if len(numbers) < MIN_CLUSTERS:
        return None
    members = np.array([numbers[cluster] for cluster in clusters])
    sums = np.bincount(members, weights=np.asarray(values, dtype=np.float64))
    totals = np.bincount(members, weights=np.asarray(sizes, dtype=np.float64))
    drawn = np.random.default_rng(seed).integers(len(sums), size=(num_resamples, len(sums)))
    means = sums[drawn].sum(axis=1) / totals[drawn].sum(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def why_no_interval(clusters: Sequence[Hashable]) -> str:
    """The reason why values of these clusters have no interval."""
    number = len(set(clusters))
    return f"{number} problem{'s' * (number != 1)}; an interval needs at least {MIN_CLUSTERS}"


def paired_difference(
    ones: Sequence[float], others: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0
) -> tuple[float, tuple[float, float] | None]:
    """The mean of `ones` minus that of `others` on the same tasks, and its 95 % interval.

    The interval resamples whole clusters of differences. The difficulty of a task cancels out, so it is
    narrower than the intervals of the two means suggest.

    Raises:
        IncoderError: there are no values.

    >>> paired_difference([1.0, 1.0], [0.0, 1.0], ["a", "b"])  # two problems are too few for an interval
    (0.5, None)
    """
    differences = [one - other for one, other in zip(ones, others, strict=True)]
    interval = cluster_bootstrap_interval(differences, clusters, seed=seed)
    return sum(differences) / len(differences), interval


def pass_at_k(num_samples: int, num_passed: int, k: int) -> float:
    """The unbiased estimate of the chance that at least one of `k` samples passes.

    Chen et al., arXiv 2107.03374, section 2.1: 1 - C(n - c, k) / C(n, k).

    Raises:
        IncoderError: there are fewer samples than `k`.

    >>> pass_at_k(4, 1, 2)
    0.5
    """
    if not 1 <= k <= num_samples:
        raise IncoderError(f"pass@{k} needs at least {k} samples of a task, got {num_samples}")
    return 1 - math.comb(num_samples - num_passed, k) / math.comb(num_samples, k)
