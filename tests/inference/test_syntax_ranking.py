"""Candidates ranked by syntax: those that add errors last, the others by the full text."""

from pathlib import PurePath
from typing import Any

import pytest

from incoder.inference.infill_model import InfillModel
from incoder.inference.syntax_errors.added_errors import adds_errors

SETTINGS: dict[str, Any] = {
    "num_candidates": 12,
    "temperature": 2.0,
    "max_new_tokens": 5,
    "token_healing": False,
    "stopping_rules": (),
    "path": "a.py",
}
ADDS_ERRORS = "incoder.inference.request_state.adds_errors"
PARTS = ["x = 1\ny = (", ")\nz = x\n"]


def test_candidates_that_add_errors_come_last_and_the_others_by_the_full_text(fast: InfillModel) -> None:
    found = fast.infill(PARTS, rank_by="syntax", seed=7, **SETTINGS).candidates
    adds = adds_errors(PARTS, [one.infills for one in found], PurePath("a.py"))
    assert set(adds) == {False, True}, "the seed is of candidates of both kinds"
    assert adds == sorted(adds)
    first = [one for one, is_bad in zip(found, adds, strict=True) if not is_bad]
    by_full_text = fast.infill(PARTS, rank_by="full-text", seed=7, **SETTINGS).candidates
    assert first == [one for one in by_full_text if one in first]
    last = found[len(first) :]
    assert [one.total_logprob for one in last] == sorted((one.total_logprob for one in last), reverse=True)


def test_full_texts_of_candidates_with_errors_are_not_read(
    dice: InfillModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ADDS_ERRORS,
        lambda _, infills, __: [True] * (len(infills) - 1) + [False],
    )
    found = dice.infill(PARTS, rank_by="syntax", **SETTINGS)
    assert len(found.candidates) > 1
    assert len(dice.language_model.opened) == 1  # type: ignore[attr-defined]


def test_when_the_time_is_up_nothing_is_checked(dice: InfillModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "incoder.inference.request_state.adds_errors", lambda *_: pytest.fail("it was checked")
    )
    dice.infill(PARTS, rank_by="syntax", time_limit=1e-9, **SETTINGS)


def test_without_a_hole_the_full_text_decides(dice: InfillModel) -> None:
    by_syntax = dice.complete("x = (", rank_by="syntax", **SETTINGS)
    assert by_syntax == dice.complete("x = (", rank_by="full-text", **SETTINGS)


def test_a_hole_gets_the_number_of_candidates_of_its_model(dice: InfillModel) -> None:
    dice.num_candidates = 4
    written: list[tuple[int, int]] = []
    dice.infill(PARTS, max_new_tokens=3, on_infill=lambda done, total: written.append((done, total)))
    assert written[-1] == (4, 4)


def test_a_streamed_hole_is_written_once_and_not_ranked(
    dice: InfillModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice.num_candidates = 4
    monkeypatch.setattr(
        "incoder.inference.request_state.adds_errors", lambda *_: pytest.fail("it was checked")
    )
    pieces: list[int] = []
    result = dice.infill(PARTS, max_new_tokens=3, on_text=lambda piece: pieces.append(piece.candidate))
    assert set(pieces) <= {0}
    assert len(result.candidates) == 1
    assert result == dice.infill(PARTS, max_new_tokens=3, num_candidates=1)
    settings = SETTINGS | {"num_candidates": 3}
    streamed = dice.infill(PARTS, on_text=lambda _: None, **settings)
    assert streamed == dice.infill(PARTS, rank_by="mean", greedy_first=False, **settings)


def test_other_requests_ask_for_one_candidate(dice: InfillModel) -> None:
    dice.num_candidates = 4
    assert len(dice.complete("x = ", max_new_tokens=3).candidates) == 1
