"""What a user changed, from two versions of a file."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.editing.lines import Lines
from incoder.editing.next_edits.events import EditEvent, edit_events

LINES = st.lists(st.sampled_from(["a = 1\n", "b = a\n", "\n", "\tc()\r\n", "d\r", "e\x0cf\n"]), max_size=12)


def test_equal_texts_have_no_events() -> None:
    assert edit_events("a\nb\n", "a\nb\n") == ()


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        ("a\nb\nc\n", "a\nB\nc\n", EditEvent(2, ("b\n",), ("B\n",))),
        ("a\nc\n", "a\nb\nc\n", EditEvent(2, (), ("b\n",))),
        ("a\nb\nc\n", "a\nc\n", EditEvent(2, ("b\n",), ())),
        ("a\n", "a", EditEvent(1, ("a\n",), ("a",))),
        ("", "a\n", EditEvent(1, (), ("a\n",))),
        ("a\r\nb\r\n", "a\r\nc\r\n", EditEvent(2, ("b\r\n",), ("c\r\n",))),
    ],
)
def test_an_event_is_the_lines_that_differ(before: str, after: str, event: EditEvent) -> None:
    assert edit_events(before, after) == (event,)


def test_changes_in_two_places_are_two_events() -> None:
    events = edit_events("a\nb\nc\nd\n", "A\nb\nc\nD\n")
    assert events == (EditEvent(1, ("a\n",), ("A\n",)), EditEvent(4, ("d\n",), ("D\n",)))


@given(LINES, LINES)
def test_the_events_undone_give_the_text_before(old: list[str], new: list[str]) -> None:
    before, after = "".join(old), "".join(new)
    lines = [line for line in Lines(after) if line]
    for event in reversed(edit_events(before, after)):
        place = slice(event.line - 1, event.line - 1 + len(event.new))
        assert tuple(lines[place]) == event.new
        lines[place] = event.old
    assert "".join(lines) == before


def test_a_changed_line_is_paired_with_the_line_that_it_became() -> None:
    event = EditEvent(1, ("x = load(path)\n",), ("# reads it\n", "x = read(path)\n"))
    assert event.changed_lines == [("x = load(path)\n", "x = read(path)\n")]
    assert event.replaced_texts == [("load", "read")]


def test_two_versions_with_nothing_in_common_are_one_change() -> None:
    before, after = "x\ny\n" * 5_000, "y\nx\n" * 5_000
    start = time.perf_counter()
    (event,) = edit_events(before, after)
    assert time.perf_counter() - start < 1
    assert "".join(event.old) == before
    assert "".join(event.new) == after
