"""What is drawn for an infill that leaves it open, and what a caller says stays."""

import pytest

from incoder.infill_defaults import SEVERAL_TEMPERATURE, num_candidates_for, with_infill_defaults
from incoder.request_settings import RequestSettings


@pytest.mark.parametrize(
    ("given", "num_candidates", "temperature", "rank_by"),
    [
        ({}, 5, SEVERAL_TEMPERATURE, "syntax"),
        ({"temperature": 0.0}, 1, 0.0, None),
        ({"temperature": 0.3}, 5, 0.3, "syntax"),
        ({"num_candidates": 1}, 1, None, None),
        ({"num_candidates": 3}, 3, SEVERAL_TEMPERATURE, "syntax"),
        ({"num_candidates": 3, "rank_by": "mean"}, 3, SEVERAL_TEMPERATURE, "mean"),
        ({"num_beams": 4}, 1, None, None),
        ({"num_beams": 4, "num_candidates": 2}, 2, None, None),
    ],
)
def test_what_is_left_open_depends_on_what_is_said(
    given: RequestSettings, num_candidates: int, temperature: float | None, rank_by: str | None
) -> None:
    chosen = with_infill_defaults(given, 5)
    assert chosen["num_candidates"] == num_candidates
    assert chosen.get("temperature") == temperature
    assert chosen.get("rank_by") == rank_by


def test_of_several_holes_one_candidate_is_drawn_at_the_usual_temperature() -> None:
    assert with_infill_defaults({}, 5, num_holes=2) == {"num_candidates": 1}
    several = with_infill_defaults({"num_candidates": 3}, 5, num_holes=2)
    assert several == {"num_candidates": 3, "rank_by": "syntax", "greedy_first": True}


def test_the_first_of_several_is_greedy_unless_all_are_kept_as_drawn() -> None:
    assert with_infill_defaults({}, 5)["greedy_first"]
    assert not with_infill_defaults({"rank_by": "none"}, 5)["greedy_first"]
    assert not with_infill_defaults({"greedy_first": False}, 5)["greedy_first"]
    assert "greedy_first" not in with_infill_defaults({}, 1)


def test_settings_of_the_caller_are_not_changed() -> None:
    given: RequestSettings = {"seed": 1}
    with_infill_defaults(given, 5)
    assert given == {"seed": 1}


def test_a_large_model_draws_one() -> None:
    assert num_candidates_for(30_000_000) > num_candidates_for(1_300_000_000) == 1
