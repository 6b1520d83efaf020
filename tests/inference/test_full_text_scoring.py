"""Candidates ranked by the full text: the text after a hole counts as the text before it does."""

from typing import Any

import pytest

from incoder.errors import IncoderError
from incoder.inference.infill_model import InfillModel

SETTINGS: dict[str, Any] = {
    "num_candidates": 6,
    "temperature": 2.0,
    "max_new_tokens": 6,
    "token_healing": False,
}


@pytest.mark.parametrize("path", [None, "a.py"])
@pytest.mark.parametrize(
    "parts",
    [
        ["def f(x):\n    return ", "\n\nprint(f(1))\n"],
        ["a = ", "\nb = ", "\nc = a + b\n"],
        ["", "x = 1\n"],
        ["x = ", ""],
    ],
)
def test_the_whole_text_counts_beside_the_fills(
    fast: InfillModel, parts: list[str], path: str | None
) -> None:
    found = fast.infill(parts, rank_by="full-text", path=path, **SETTINGS).candidates
    assert len(found) > 1
    values = [one.total_logprob + fast.score(one.text, path=path).total_logprob for one in found]
    # A random model writes bytes that are no text, and the character in their place has another score.
    assert values == pytest.approx(sorted(values, reverse=True), abs=1.0)
    by_total = fast.infill(parts, rank_by="total", path=path, **SETTINGS).candidates
    assert {one.infills for one in found} == {one.infills for one in by_total}


def test_a_completion_is_judged_by_what_it_completes_as_well(dice: InfillModel) -> None:
    found = dice.complete("def f(x):\n", rank_by="full-text", **SETTINGS).candidates
    values = [one.total_logprob + dice.score(one.text).total_logprob for one in found]
    assert values == sorted(values, reverse=True)


def test_an_empty_text_does_no_harm(fast: InfillModel) -> None:
    for seed in range(5):
        fast.infill(["", ""], rank_by="full-text", **SETTINGS | {"seed": seed, "max_new_tokens": 1})


def test_of_a_long_text_what_can_be_read_is_judged(fast: InfillModel) -> None:
    lines = [f"value_{number} = {number}\n" for number in range(200)]
    parts = ["".join(lines[:100]), "".join(lines[100:150]), "".join(lines[150:])]
    found = fast.infill(parts, rank_by="full-text", **SETTINGS)
    assert len(found.candidates) > 1
    assert found.text.startswith(parts[0])
    assert found.text.endswith(parts[2])


def test_where_the_time_is_up_nothing_more_is_read(dice: InfillModel) -> None:
    settings = SETTINGS | {"time_limit": 1e-9}
    dice.infill("x = <FILL>\ny = x\n", rank_by="full-text", **settings)
    assert len(dice.language_model.opened) == 1  # type: ignore[attr-defined]


def test_an_unknown_order_is_refused(fast: InfillModel) -> None:
    with pytest.raises(IncoderError, match=r"rank_by must be one of mean, total, .*, none, got 'best'"):
        fast.infill("x = <FILL>\n", rank_by="best")  # type: ignore[arg-type]
