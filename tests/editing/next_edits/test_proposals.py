"""Next edits: proposed where a model agrees, never against the user."""

from pathlib import PurePath
from typing import TYPE_CHECKING

import pytest

from incoder.editing.edits import apply_edits
from incoder.editing.next_edits.events import edit_events
from incoder.editing.next_edits.proposals import MAX_CHANGED_LINES, edits_after, next_edits

if TYPE_CHECKING:
    from tests.editing.next_edits.conftest import EchoingModel

BEFORE = "def mean(xs):\n    total = sum(xs)\n    return total / len(xs)\n"
AFTER = BEFORE.replace("mean(xs)", "mean(values)")
PYTHON = PurePath("a.py")


def test_a_rename_is_proposed_everywhere_the_nearest_first(model: "EchoingModel") -> None:
    found = next_edits(model, BEFORE, AFTER, path=PYTHON)
    assert [(one.line, one.old, one.edit.text) for one in found] == [(2, "xs", "values"), (3, "xs", "values")]
    assert apply_edits(AFTER, [one.edit for one in found]) == BEFORE.replace("xs", "values")
    assert model.requests == []  # a known text is scored, not written


def test_gain_drop_and_shift_are_per_token(model: "EchoingModel") -> None:
    (first, _) = next_edits(model, BEFORE, AFTER, path=PYTHON)
    # After the edit the old name is not around (5 nats, before 1), and the new one is (1, before 5).
    assert (first.drop, first.gain, first.shift) == (4.0, 4.0, 8.0)


def test_an_edit_that_gains_too_little_is_not_proposed(model: "EchoingModel") -> None:
    assert next_edits(model, BEFORE, AFTER, path=PYTHON, min_gain=4.5) == []


def test_what_the_user_rejected_is_not_proposed_again(model: "EchoingModel") -> None:
    assert next_edits(model, BEFORE, AFTER, path=PYTHON, rejected=[("xs", "values")]) == []


def test_nothing_is_proposed_on_a_line_where_the_user_rejected_it(model: "EchoingModel") -> None:
    events = edit_events(BEFORE, AFTER)
    found = edits_after(model, AFTER, events, path=PYTHON, quiet_lines={"total = sum(xs)"})
    assert [one.line for one in found] == [3]


def test_the_edits_nearest_to_the_cursor_come_first(model: "EchoingModel") -> None:
    found = edits_after(model, AFTER, edit_events(BEFORE, AFTER), path=PYTHON, line=3)
    assert [one.line for one in found] == [3, 2]


def test_no_line_is_made_what_an_edited_line_was(model: "EchoingModel") -> None:
    before = "a = first(x)\na = second(x)\n"
    after = before.replace("first(x)", "second(x)")
    assert next_edits(model, before, after, path=PYTHON, min_gain=-99, min_shift=-99) == []


def test_an_edit_that_adds_a_syntax_error_is_not_proposed(model: "EchoingModel") -> None:
    before = "x = 1\nprint(x = 1)\n"
    after = before.replace("x = 1\n", "x += 1\n")
    assert next_edits(model, before, after, path=PYTHON, min_gain=-99) == []
    (found,) = next_edits(model, before, after, path=PurePath("a.unknown"), min_gain=-99)
    assert (found.line, found.old, found.edit.text) == (2, "", "+")


def test_what_the_edit_does_not_say_is_written_with_both_sides_in_view(model: "EchoingModel") -> None:
    model.answer = "two"
    before = "a = get(x, y)\nb = get(y, x)\n"
    after = before.replace("get(x, y)", "get(one, two)")
    found = next_edits(model, before, after, path=PYTHON)
    assert [(one.old, one.edit.text) for one in found] == [("y", "two"), ("x", "two")]
    (request,) = model.requests
    assert request.parts == ("a = get(one, two)\nb = get(", ", ", ")\n")


def test_what_the_edit_has_not_made_less_probable_is_not_written_anew(model: "EchoingModel") -> None:
    before = "a = get(1)\nb = get(2)\nc = 2\n"
    assert next_edits(model, before, before.replace("get(1)", "get(one)"), path=PYTHON) == []
    assert model.requests == []


def test_a_large_change_is_a_new_version_and_no_edit(model: "EchoingModel") -> None:
    before = "v = 0\nprint(v)\n"
    after = "w = 0\nprint(v)\n" + "pass\n" * MAX_CHANGED_LINES
    assert next_edits(model, before, after, path=PYTHON) == []
    assert model.read == []


@pytest.mark.parametrize(("before", "after"), [("", ""), ("x = 1\n", "x = 2\n"), ("x\n", ""), ("", "x\n")])
def test_an_edit_that_nothing_follows_costs_no_model_call(
    model: "EchoingModel", before: str, after: str
) -> None:
    assert next_edits(model, before, after, path=PYTHON) == []
    assert model.read == []
