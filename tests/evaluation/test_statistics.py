"""Intervals account for the correlation of tasks of one problem."""

import itertools
from typing import Any

import numpy as np
import pytest

from incoder.errors import IncoderError
from incoder.evaluation.statistics import cluster_bootstrap_interval, pass_at_k


def interval(*values: Any, **settings: Any) -> tuple[float, float]:
    found = cluster_bootstrap_interval(*values, **settings)
    assert found is not None
    return found


def test_the_interval_holds_the_mean_and_comes_from_the_seed() -> None:
    values = [float(value) for value in np.random.default_rng(1).random(200) < 0.3]
    clusters = [index // 5 for index in range(200)]
    low, high = interval(values, clusters, seed=7)
    assert low < sum(values) / len(values) < high
    assert (low, high) == interval(values, clusters, seed=7)


def test_single_values_get_the_binomial_interval() -> None:
    values = [1.0] * 120 + [0.0] * 280
    low, high = interval(values, range(400), num_resamples=5000)
    half = 1.96 * (0.3 * 0.7 / 400) ** 0.5
    assert low == pytest.approx(0.3 - half, abs=0.01)
    assert high == pytest.approx(0.3 + half, abs=0.01)


def test_values_that_agree_inside_their_cluster_make_a_wider_interval() -> None:
    values = [1.0] * 100 + [0.0] * 100
    single_low, single_high = interval(values, range(200))
    low, high = interval(values, [index // 20 for index in range(200)])
    assert high - low > 3 * (single_high - single_low)


def test_a_cluster_weighs_as_much_as_it_has_values() -> None:
    values, clusters = [1.0] * 9 + [0.0] * 4, ["big"] * 9 + ["a", "b", "c", "d"]
    assert interval(values, clusters)[1] > interval(values[8:], clusters[8:])[1]
    assert interval([0.5] * 6, ["a", "a", "b", "c", "d", "e"]) == (0.5, 0.5)


@pytest.mark.parametrize("num_clusters", [1, 4])
def test_a_few_clusters_have_no_interval(num_clusters: int) -> None:
    values = [0.0, 1.0] * 50
    clusters = [index % num_clusters for index in range(100)]
    assert cluster_bootstrap_interval(values, clusters) is None


def test_no_values_and_a_level_of_1_are_refused() -> None:
    with pytest.raises(IncoderError, match="at least one value"):
        cluster_bootstrap_interval([], [])
    with pytest.raises(IncoderError, match=r"level must be in \(0, 1\), got 1"):
        cluster_bootstrap_interval([1.0], ["a"], level=1)


@pytest.mark.parametrize(("num_samples", "num_passed"), [(5, 0), (5, 1), (5, 3), (5, 5), (1, 1)])
def test_pass_at_k_is_the_share_of_draws_in_which_one_passes(num_samples: int, num_passed: int) -> None:
    samples = [number < num_passed for number in range(num_samples)]
    for k in range(1, num_samples + 1):
        draws = [any(draw) for draw in itertools.combinations(samples, k)]
        assert pass_at_k(num_samples, num_passed, k) == pytest.approx(sum(draws) / len(draws))


def test_pass_at_k_needs_k_samples() -> None:
    with pytest.raises(IncoderError, match="pass@10 needs at least 10 samples of a task, got 9"):
        pass_at_k(9, 1, 10)
