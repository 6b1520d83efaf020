import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.objective.spans import (
    Span,
    clamped_poisson,
    place_spans,
    released_code_spans,
    truncated_poisson,
    uniform_length_spans,
)


class FixedRandom(np.random.Generator):
    """Uniform numbers are always the same one; everything else is random."""

    def __init__(self, value: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.value = value
        self.num_draws = 0

    def random(self, *_: object, **__: object) -> float:  # type: ignore[override]
        self.num_draws += 1
        return self.value


class CountingRandom(np.random.Generator):
    """Counts the uniform numbers: one for each try."""

    num_draws = 0

    def random(self, *_: object, **__: object) -> float:  # type: ignore[override]
        self.num_draws += 1
        return float(super().random())


def drawn_by_the_letter(
    num_spans: int, length: int, num_tries: int, rng: np.random.Generator
) -> list[list[Span]]:
    """The slow twin: the paper's rule as it is written; each try that has no overlap."""
    lengths = rng.integers(1, length + 1, (num_tries, num_spans))
    starts = rng.integers(0, length - lengths + 1)
    order = np.argsort(starts, axis=1)
    starts, ends = (np.take_along_axis(values, order, 1) for values in (starts, starts + lengths))
    is_free = (ends[:, :-1] <= starts[:, 1:]).all(axis=1)
    pairs = zip(starts[is_free].tolist(), ends[is_free].tolist(), strict=True)
    return [list(zip(*pair, strict=True)) for pair in pairs]


def all_sets(num_spans: int, length: int) -> list[tuple[Span, ...]]:
    """Every set of spans that do not overlap."""
    spans = [(start, end) for start in range(length) for end in range(start + 1, length + 1)]
    return [chosen for chosen in combinations(spans, num_spans) if do_not_overlap(chosen)]


def do_not_overlap(spans: Sequence[Span]) -> bool:
    return all(left[1] <= right[0] for left, right in pairwise(spans))


def chi_squared(observed: Counter[tuple[Span, ...]], weights: dict[tuple[Span, ...], float]) -> float:
    num_draws, total = observed.total(), sum(weights.values())
    expected = {outcome: num_draws * weight / total for outcome, weight in weights.items()}
    assert observed.keys() <= expected.keys()
    return sum((observed[outcome] - count) ** 2 / count for outcome, count in expected.items())


def highest_likely_chi_squared(num_outcomes: int) -> float:
    """Four standard deviations above the mean."""
    return num_outcomes - 1 + 4 * math.sqrt(2 * (num_outcomes - 1))


@pytest.mark.parametrize(("num_spans", "in_the_paper"), [(1, 0.58), (2, 0.29), (3, 0.10)])
def test_the_number_of_spans_is_a_poisson_number_that_is_not_zero(
    num_spans: int, in_the_paper: float
) -> None:
    probability = {k: 1 / math.factorial(k) / (math.e - 1) for k in range(1, 4)}
    assert probability[num_spans] == pytest.approx(in_the_paper, abs=0.005)
    below = sum(probability[k] for k in range(1, num_spans))
    assert truncated_poisson(1.0, FixedRandom(below + 1e-9)) == num_spans
    assert truncated_poisson(1.0, FixedRandom(below + probability[num_spans] - 1e-9)) == num_spans


@pytest.mark.parametrize("mean", [0.01, 1.0, 64.0])
def test_the_number_of_spans_has_the_mean_of_the_truncated_poisson(mean: float) -> None:
    rng = np.random.default_rng(0)
    draws = [truncated_poisson(mean, rng) for _ in range(4000)]
    assert min(draws) >= 1
    assert np.mean(draws) == pytest.approx(mean / -math.expm1(-mean), rel=0.05)


def test_the_released_code_takes_no_span_for_one_span() -> None:
    rng = np.random.default_rng(0)
    draws = [clamped_poisson(1.0, rng) for _ in range(20_000)]
    assert 2 / math.e == pytest.approx(0.74, abs=0.005)
    assert draws.count(1) / len(draws) == pytest.approx(2 / math.e, abs=0.015)
    assert draws.count(2) / len(draws) == pytest.approx(1 / (2 * math.e), abs=0.015)


@pytest.mark.parametrize(("num_spans", "in_the_paper"), [(2, 0.145), (3, 0.015), (4, 0.001)])
def test_the_rule_by_the_letter_is_accepted_as_rarely_as_it_should(
    num_spans: int, in_the_paper: float
) -> None:
    num_tries = 800_000 if num_spans == 4 else 100_000
    rng = np.random.default_rng(num_spans)
    rate = len(drawn_by_the_letter(num_spans, 10_000, num_tries, rng)) / num_tries
    assert rate == pytest.approx(in_the_paper, rel=0.15)
    if num_spans == 2:  # the integral over both lengths
        assert rate == pytest.approx(math.pi**2 / 6 - 1.5, abs=0.004)


@pytest.mark.parametrize(("num_spans", "length"), [(1, 6), (2, 5), (3, 5), (4, 5)])
def test_spans_have_exactly_the_distribution_of_whole_set_rejection(num_spans: int, length: int) -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(tuple(uniform_length_spans(num_spans, length, rng)) for _ in range(8000))
    weights = {
        spans: 1 / math.prod(length - (end - start) + 1 for start, end in spans)
        for spans in all_sets(num_spans, length)
    }
    assert chi_squared(drawn, weights) < highest_likely_chi_squared(len(weights))


@pytest.mark.parametrize("num_spans", [2, 3])
def test_spans_are_as_long_as_those_drawn_by_the_letter(num_spans: int) -> None:
    rng = np.random.default_rng(5)
    by_the_letter = drawn_by_the_letter(num_spans, 1000, 30_000 * 10 ** (num_spans - 2), rng)[:3000]
    ours = [uniform_length_spans(num_spans, 1000, rng) for _ in by_the_letter]
    for quantity in (_first_length, _first_start, _longest):
        expected, got = (sorted(map(quantity, sets)) for sets in (by_the_letter, ours))
        # Kolmogorov and Smirnov: two samples of 3000 differ by more than 0.05 once in a thousand times.
        grid = range(0, 1001, 10)
        distances = [abs(_share_below(value, expected) - _share_below(value, got)) for value in grid]
        assert max(distances) < 0.05


def _first_length(spans: Sequence[Span]) -> int:
    return spans[0][1] - spans[0][0]


def _first_start(spans: Sequence[Span]) -> int:
    return spans[0][0]


def _longest(spans: Sequence[Span]) -> int:
    return max(end - start for start, end in spans)


def _share_below(value: int, values: list[int]) -> float:
    return float(np.searchsorted(values, value)) / len(values)


@pytest.mark.parametrize("num_spans", [2, 4, 20, 256])
def test_few_tries_are_needed_for_any_number_of_spans(num_spans: int) -> None:
    rng = CountingRandom(np.random.PCG64(0))
    for _ in range(500):
        uniform_length_spans(num_spans, 2048, rng)
    assert rng.num_draws / 500 < 1 / 0.8


def test_after_the_last_try_there_are_still_as_many_spans_without_an_overlap() -> None:
    unlucky = FixedRandom(1.0)
    spans = uniform_length_spans(3, 100, unlucky)
    assert unlucky.num_draws == 64
    assert len(spans) == 3
    assert do_not_overlap(spans)


def test_spans_of_given_lengths_are_placed_evenly() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(tuple(place_spans([1, 2], 6, rng)) for _ in range(20_000))
    weights = {spans: 1.0 for spans in all_sets(2, 6) if [end - start for start, end in spans] == [1, 2]}
    assert chi_squared(drawn, weights) < highest_likely_chi_squared(len(weights))


def test_the_edges_of_a_released_code_span_are_two_uniform_positions() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([released_code_spans(1, 10_000, rng) for _ in range(10_000)])[:, 0]
    starts, ends = drawn[:, 0] / 10_000, drawn[:, 1] / 10_000
    for quantile in (0.2, 0.5, 0.8):  # of the smaller and of the larger of two uniform numbers
        assert np.quantile(starts, quantile) == pytest.approx(1 - math.sqrt(1 - quantile), abs=0.02)
        assert np.quantile(ends, quantile) == pytest.approx(math.sqrt(quantile), abs=0.02)


def test_the_released_code_may_find_fewer_spans_or_none() -> None:
    rng = np.random.default_rng(0)
    counts = Counter(len(released_code_spans(3, 1000, rng)) for _ in range(3000))
    assert counts.keys() == {1, 2, 3}
    # Of two intervals with random ends, one in three pairs does not meet; there are four candidates for two.
    one_of_two = sum(len(released_code_spans(2, 10_000, rng)) == 1 for _ in range(3000)) / 3000
    assert one_of_two == pytest.approx(_chance_that_three_all_meet_the_first(), abs=0.03)
    # The edges x < y of one position are rounded to the same one unless y is in its second half.
    empty = sum(released_code_spans(1, 1, rng) == [] for _ in range(3000)) / 3000
    assert empty == pytest.approx(1 / 4, abs=0.03)


def _chance_that_three_all_meet_the_first() -> float:
    """∫∫ (1 − x² − (1 − y)²)³ over all (x, y): the chance to lie before x is x², to lie after y (1 − y)²."""
    middles = (np.arange(1000) + 0.5) / 1000
    x, y = np.meshgrid(middles, middles)
    return float(((1 - x**2 - (1 - y) ** 2) ** 3)[x < y].mean())


@pytest.mark.parametrize("draw", [uniform_length_spans, released_code_spans])
@given(data=st.data(), length=st.integers(1, 300), seed=st.integers(0, 2**32))
def test_spans_are_in_order_inside_the_text_and_not_empty(
    draw: Callable[[int, int, np.random.Generator], list[Span]], data: st.DataObject, length: int, seed: int
) -> None:
    num_spans = data.draw(st.integers(1, min(length, 30)))
    spans = draw(num_spans, length, np.random.default_rng(seed))
    assert len(spans) == num_spans or (draw is released_code_spans and len(spans) < num_spans)
    assert all(0 <= start < end <= length for start, end in spans)
    assert do_not_overlap(spans)
