"""What is drawn for an infill that leaves it open, and what a caller says stays."""

import pytest

from incoder.infill_defaults import SEVERAL_TEMPERATURE, num_candidates_for, with_infill_defaults
from incoder.request_settings import RequestSettings


@pytest.mark.parametrize(
    ("given", "num_candidates", "temperature", "rank_by"),
    [
        ({}, 5, None, "syntax"),
        ({"temperature": 0.0}, 1, 0.0, None),
        ({"temperature": 0.3}, 5, 0.3, "syntax"),
        ({"seed": 1}, 5, SEVERAL_TEMPERATURE, "syntax"),
        ({"branches": False}, 5, SEVERAL_TEMPERATURE, "syntax"),
        ({"num_candidates": 1}, 1, None, None),
        ({"num_candidates": 3}, 3, None, "syntax"),
        ({"num_candidates": 3, "temperature": 0.0}, 3, 0.0, "syntax"),
        ({"num_candidates": 3, "rank_by": "mean"}, 3, None, "mean"),
        ({"num_candidates": 3, "rank_by": "none"}, 3, SEVERAL_TEMPERATURE, "none"),
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


def test_the_others_branch_off_the_greedy_first() -> None:
    assert with_infill_defaults({}, 5)["branches"]
    assert with_infill_defaults({"num_candidates": 3}, 1)["branches"]
    assert with_infill_defaults({"num_candidates": 3, "temperature": 0}, 5)["branches"]
    assert with_infill_defaults({"top_k": None}, 5)["branches"]


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k", "min_p", "seed"])
def test_the_others_are_drawn_if_a_setting_is_for_draws(name: str) -> None:
    given: RequestSettings = {name: 1}  # type: ignore[misc]
    drawn = with_infill_defaults(given, 5)
    assert "branches" not in drawn
    assert drawn["greedy_first"]


def test_the_others_are_drawn_if_the_model_makes_no_branches() -> None:
    drawn = with_infill_defaults({}, 5, makes_branches=False)
    assert drawn == {
        "num_candidates": 5,
        "rank_by": "syntax",
        "greedy_first": True,
        "temperature": SEVERAL_TEMPERATURE,
    }
    greedy = with_infill_defaults({"temperature": 0, "num_candidates": 3}, 5, makes_branches=False)
    assert "branches" not in greedy


def test_all_are_drawn_if_that_is_said() -> None:
    for given in ({"rank_by": "none"}, {"greedy_first": False}):
        drawn = with_infill_defaults(given, 5)  # type: ignore[arg-type]
        assert not drawn["greedy_first"]
        assert "branches" not in drawn


def test_one_candidate_needs_neither() -> None:
    assert with_infill_defaults({}, 1) == {"num_candidates": 1}


def test_settings_of_the_caller_are_not_changed() -> None:
    given: RequestSettings = {"seed": 1}
    with_infill_defaults(given, 5)
    assert given == {"seed": 1}


def test_a_large_model_draws_one() -> None:
    assert num_candidates_for(30_000_000) > num_candidates_for(1_300_000_000) == 1
