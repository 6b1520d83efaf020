"""Edits from the changes that an editor reports: the same as a comparison of the texts before and after."""

import random
import time

import pytest

from incoder.editing.next_edits.events import EditEvent, edit_events
from incoder.editing.next_edits.history import EditHistory, Rejections


class Typist:
    """Changes a text as an editor does, and keeps its history."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.history = EditHistory()
        self.now = 100.0

    @property
    def lines(self) -> list[str]:
        lines = self.text.splitlines(keepends=True)
        return lines if lines and not lines[-1].endswith("\n") else [*lines, ""]

    def replace(self, start: int, end: int, new: str, after: float = 0.1) -> None:
        self.now += after
        before, old = self.text[:start], self.text[start:end]
        self.text = before + new + self.text[end:]
        line, column = before.count("\n"), start - (before.rfind("\n") + 1)
        self.history.change(self.now, line=line, column=column, old=old, new=new, lines=self.lines)

    def type(self, at: str, keys: str, after: float = 0.1) -> None:
        """Type keys after this text, one by one."""
        place = self.text.index(at) + len(at)
        for number, key in enumerate(keys):
            self.replace(place + number, place + number, key, after if not number else 0.1)

    @property
    def events(self) -> tuple[EditEvent, ...]:
        return self.history.events(self.lines)


TEXT = "a = 1\nb = 2\nc = 3\nd = 4\ne = 5\nf = 6\n"


def test_keys_of_a_line_are_one_edit() -> None:
    typist = Typist(TEXT)
    typist.type("c = ", "10 + ")
    assert typist.events == (EditEvent(3, ("c = 3\n",), ("c = 10 + 3\n",)),)


def test_a_pause_for_thought_does_not_end_an_edit() -> None:
    typist = Typist(TEXT)
    typist.type("c = ", "10")
    typist.type("c = 10", " + ", after=20)
    assert typist.events == (EditEvent(3, ("c = 3\n",), ("c = 10 + 3\n",)),)


def test_later_changes_of_a_line_are_another_edit() -> None:
    typist = Typist(TEXT)
    typist.type("c = ", "10 + ")
    typist.type("c = 10 + ", "x", after=40)
    assert typist.events == (EditEvent(3, ("c = 10 + 3\n",), ("c = 10 + x3\n",)),)


def test_edits_of_distant_lines_are_apart() -> None:
    typist = Typist(TEXT)
    typist.type("f = ", "1")
    typist.type("a = ", "2")
    assert typist.events == (
        EditEvent(1, ("a = 1\n",), ("a = 21\n",)),
        EditEvent(6, ("f = 6\n",), ("f = 16\n",)),
    )


def test_edits_of_long_ago_are_left_out() -> None:
    typist = Typist(TEXT)
    typist.type("f = ", "1")
    typist.type("a = ", "2", after=100)
    assert [event.line for event in typist.events] == [1]


def test_what_was_undone_is_no_edit() -> None:
    typist = Typist(TEXT)
    typist.type("c = ", "10")
    place = typist.text.index("103")
    typist.replace(place, place + 2, "")
    assert typist.events == ()


def test_edits_move_with_their_lines() -> None:
    typist = Typist(TEXT)
    typist.type("e = ", "1")
    typist.type("a = 1\n", "x = 0\ny = 0\n")
    assert [event.line for event in typist.events] == [2, 7]
    start = typist.text.index("b = 2\n")
    typist.replace(start, start + len("b = 2\nc = 3\n"), "")
    assert [event.line for event in typist.events][-1] == 5


def test_a_newline_at_the_end_of_the_text_is_an_edit() -> None:
    typist = Typist("a = 1")
    typist.type("a = 1", "\nb = 2")
    assert typist.events == edit_events("a = 1", "a = 1\nb = 2")


def test_a_deleted_line_is_an_edit() -> None:
    typist = Typist(TEXT)
    start = typist.text.index("c = 3\n")
    typist.replace(start, start + 6, "")
    assert typist.events == (EditEvent(3, ("c = 3\n",), ()),)


def test_large_pastes_are_no_edits() -> None:
    typist = Typist(TEXT)
    typist.replace(0, 0, "x = 1\n" * 1000)
    assert typist.events == ()


def test_a_change_that_does_not_fit_begins_a_new_history() -> None:
    typist = Typist(TEXT)
    typist.type("c = ", "10")
    typist.history.change(200.0, line=0, column=0, old="", new="other", lines=typist.lines)
    assert typist.events == ()


def test_windows_line_ends_are_line_ends() -> None:
    history, lines = EditHistory(), ["a = 1\r\n", "x = 2\r\n", "b = 2\r\n"]
    history.change(1.0, line=1, column=0, old="", new="x = 2\r\n", lines=lines)
    assert history.events(lines) == (EditEvent(2, (), ("x = 2\r\n",)),)


@pytest.mark.parametrize("seed", range(30))
def test_it_equals_a_comparison_of_the_texts(seed: int) -> None:
    """However keys fall, putting the old lines back gives the text before them."""
    rng = random.Random(seed)
    typist = Typist("".join(f"line {number}\n" for number in range(12)) + "end" * rng.randint(0, 1))
    before = typist.text
    for _ in range(rng.randint(1, 5)):
        start = rng.randint(0, len(typist.text))
        end = min(len(typist.text), start + rng.choice([0, 0, 1, 3, 9]))
        typist.replace(start, end, rng.choice(["", "x", "y\n", "\n\n", "two\nlines"]))
    lines = typist.lines
    for event in reversed(typist.events):
        assert tuple(lines[event.line - 1 : event.line - 1 + len(event.new)]) == event.new
        lines[event.line - 1 : event.line - 1 + len(event.new)] = event.old
    assert "".join(lines) == before


def test_a_reversal_is_known_also_of_an_edit_of_long_ago() -> None:
    typist = Typist("total = first\n")
    typist.replace(8, 13, "second")
    typist.replace(8, 14, "third", after=100)
    assert typist.history.reversals(typist.lines) == {("second", "first"), ("third", "second")}


def test_the_history_is_bounded() -> None:
    typist = Typist("".join(f"value_{number} = {number}\n" for number in range(3000)))
    for number in range(0, 3000, 3):
        typist.type(f"value_{number} = ", "x", after=1)
    assert len(typist.events) <= 5
    assert len(typist.history.reversals(typist.lines)) <= 100


def test_a_change_costs_nothing_in_a_long_text() -> None:
    lines = [f"value_{number} = {number}\n" for number in range(20_000)]
    history = EditHistory()
    start = time.perf_counter()
    for number in range(200):
        lines[10_000] = lines[10_000][:-1] + "x\n"
        history.change(
            number * 0.005, line=10_000, column=len(lines[10_000]) - 2, old="", new="x", lines=lines
        )
    assert time.perf_counter() - start < 0.5
    assert len(history.events(lines)) == 1


def test_rejected_lines_are_bounded() -> None:
    rejected = Rejections(f"line {number}" for number in range(1000))
    assert len(rejected.lines) == 200
    assert "line 999" in rejected
    assert "line 0" not in rejected
