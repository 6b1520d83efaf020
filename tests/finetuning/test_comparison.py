"""Before and after: differences hole by hole, and when they are clear."""

from typing import Any

import pytest

from incoder.finetuning.comparison import EXACT, LOSS, SIMILARITY, compare
from incoder.finetuning.judging import HoleLoss, Judgement


def judgement(right: list[int], nats: list[float]) -> Judgement:
    """Of twelve holes, two in each of six files."""
    rows: list[dict[str, Any]] = [
        {
            "task_id": f"t{number}",
            "problem": f"file{number // 2}",
            "rates": {"exact_match_stripped": float(number in right), "edit_similarity": 0.5},
        }
        for number in range(12)
    ]
    return Judgement({"tasks": rows}, {f"t{number}": HoleLoss(nats[number % 2], 4) for number in range(12)})


def test_differences_are_after_minus_before_with_the_interval_of_the_pairs() -> None:
    before, after = judgement([0], [8.0, 4.0]), judgement([0, 2, 4, 6, 8, 10], [6.0, 4.0])
    exact, similarity, loss = compare(before, after)
    assert (exact.name, similarity.name, loss.name) == (EXACT, SIMILARITY, LOSS)
    assert exact.before == pytest.approx(1 / 12)
    assert exact.after == pytest.approx(0.5)
    assert exact.difference == pytest.approx(5 / 12)
    assert exact.difference_interval is not None
    assert exact.difference_interval[0] > 0
    assert exact.is_clear
    assert similarity.difference == 0
    assert not similarity.is_clear
    assert loss.before == pytest.approx(12 / 8)  # nats of both holes of a file, by their tokens
    assert loss.difference == pytest.approx(-2 / 8)
    assert loss.difference_interval == pytest.approx((-0.25, -0.25))  # every file gained as much


def test_a_gain_in_one_file_of_six_is_not_clear() -> None:
    exact, *_ = compare(judgement([], [1.0, 1.0]), judgement([0, 1], [1.0, 1.0]))
    assert exact.difference > 0
    assert not exact.is_clear
