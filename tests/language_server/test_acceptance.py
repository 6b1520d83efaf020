"""Counts of suggestions: once each, never more than was shown, and added up over sessions."""

import json
from pathlib import Path

import pytest

from incoder.language_server.acceptance import Acceptance, Counts


def test_parts_add_up_to_at_most_the_whole() -> None:
    acceptance = Acceptance()
    shown_id = acceptance.show("python", "total(x)")
    for num_characters in (3, 3, 2, 5, 99, 99):
        acceptance.accept(shown_id, num_characters)
    acceptance.accept("unknown")
    counts = acceptance.counts["python"]
    assert counts == Counts(shown=1, accepted=1, shown_characters=8, accepted_characters=8)


def test_what_is_typed_of_a_suggestion_is_not_accepted() -> None:
    acceptance = Acceptance()
    place = ("file:///a.py", 4, "total(x)")
    first = acceptance.show("python", "total(x)", place)
    assert acceptance.show("python", "al(x)", place) == first
    acceptance.accept(first)
    assert acceptance.counts["python"].accepted_characters == 5
    assert acceptance.show("python", "total(x)", place) != first  # after undoing


def test_sessions_add_up_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "state" / "acceptance.json"
    for _ in range(2):
        acceptance = Acceptance(file)
        acceptance.accept(acceptance.show("python", "abc"))
        acceptance.show("go", "de")
        acceptance.save()
        acceptance.save()
    saved = json.loads(file.read_text())
    assert saved["python"]["accepted"] == 2
    assert saved["go"] == {
        "shown": 2,
        "accepted": 0,
        "partly_accepted": 0,
        "shown_characters": 4,
        "accepted_characters": 0,
    }


@pytest.mark.parametrize("content", ["", "[]", '{"go": {"shown": "x"}}', '{"go": {"other": 1}}', "\0"])
def test_a_file_with_something_else_in_it_is_replaced(tmp_path: Path, content: str) -> None:
    file = tmp_path / "acceptance.json"
    file.write_text(content)
    acceptance = Acceptance(file)
    acceptance.show("python", "abc")
    acceptance.save()
    assert json.loads(file.read_text())["python"]["shown"] == 1


def test_many_suggestions_that_nobody_accepts_are_not_kept() -> None:
    acceptance = Acceptance()
    for number in range(1000):
        acceptance.show("python", "x", number)
    assert len(acceptance._shown) == len(acceptance._id_of) == 200
    assert acceptance.counts["python"].shown == 1000
