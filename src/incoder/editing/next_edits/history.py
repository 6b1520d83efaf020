"""What a user has changed lately in one open text, and which proposals were rejected.

An editor reports every key as a change. Changes of the same or of adjacent lines within half a minute are
one edit: from the lines before the first of them to the lines of now. An edit that was undone is none. A
change costs as much as it has lines, whatever the length of the text. Reads no clock: times in seconds are
passed in.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from incoder.editing.next_edits.events import EditEvent

_ONE_EDIT = 30.0  # seconds between two changes of the same lines that are one edit
_RECENT = 60.0  # seconds before the latest edit; what was done earlier has nothing to do with it
_MAX_RECENT = 5
_MAX_EDITS = 15
_MAX_CHARACTERS = 2000  # of an edit's lines, before or after it: more was pasted or generated
_MAX_CHANGE = 50_000  # characters that are replaced at once; more begins a new history
_MAX_REPLACED = 100
_MAX_REJECTED = 200
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]*\Z")
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(slots=True)
class _Edit:
    """The lines `old` that are now the lines from `first` up to `end` (from 0); `time` is of the last key."""

    first: int
    end: int
    old: list[str]
    time: float


class EditHistory:
    """The latest edits of one text, at most 15.

    >>> history, lines = EditHistory(), ["a = 2\\n", "b = a\\n"]
    >>> history.change(0.0, line=0, column=4, old="1", new="2", lines=lines)
    >>> history.events(lines)
    (EditEvent(line=1, old=('a = 1\\n',), new=('a = 2\\n',)),)
    """

    def __init__(self) -> None:
        self._edits: list[_Edit] = []  # the one that was changed last is the last
        self._replaced: OrderedDict[tuple[str, str], None] = OrderedDict()

    def change(self, now: float, *, line: int, column: int, old: str, new: str, lines: Sequence[str]) -> None:
        """Note that `new` took the place of `old` at `line` and `column` (from 0, in characters).

        `lines` are the lines of the text after the change, with their line ends. A change that does not fit
        them makes the history begin anew.
        """
        if len(old) + len(new) > _MAX_CHANGE:  # the whole text, as a formatter writes it
            self._edits.clear()
            return
        num_old, num_new = (len(_LINE_END.findall(text)) + 1 for text in (old, new))
        after = [*lines[line : line + num_new]]
        text = "".join(after)
        if text[column : column + len(new)] != new:
            self._edits.clear()
            return
        before = _split(text[:column] + old + text[column + len(new) :], num_old)
        while before and after and before[-1] == after[-1]:
            before.pop()
            after.pop()
        end, num_added = line + len(before), len(after) - len(before)

        def line_before(number: int) -> str:
            if line <= number < end:
                return before[number - line]
            return lines[number if number < line else number + num_added]

        joined, kept = [], []
        for edit in self._edits:
            if edit.first <= end and line <= edit.end and now - edit.time <= _ONE_EDIT:
                joined.append(edit)
            elif edit.first < end and line < edit.end:  # it was made long ago, and is replaced now
                self._note(_event(edit, line_before))
            else:
                kept.append(edit)
        latest = _joined(sorted(joined, key=lambda edit: edit.first), line, before, now)
        for edit in (*(edit for edit in kept if edit.first >= end), latest):
            edit.first += num_added if edit is not latest else 0
            edit.end += num_added
        self._edits = kept[1 - _MAX_EDITS :]
        current = "".join(lines[latest.first : latest.end])
        if current != (was := "".join(latest.old)) and max(len(current), len(was)) <= _MAX_CHARACTERS:
            self._edits.append(latest)

    def events(self, lines: Sequence[str]) -> tuple[EditEvent, ...]:
        """Return the latest edits in the text of now, from its start on; none that took place long before."""
        recent = [edit for edit in self._edits if self._edits[-1].time - edit.time <= _RECENT][-_MAX_RECENT:]
        return tuple(_event(edit, lines.__getitem__) for edit in sorted(recent, key=lambda edit: edit.first))

    def reversals(self, lines: Sequence[str]) -> frozenset[tuple[str, str]]:
        """Return the pairs of an old and a new text that would undo an edit, also one made long ago."""
        for edit in self._edits:
            self._note(_event(edit, lines.__getitem__))
        return frozenset((new, old) for old, new in self._replaced)

    def _note(self, event: EditEvent) -> None:
        for pair in event.replaced_texts:
            self._replaced[pair] = None
            self._replaced.move_to_end(pair)
        while len(self._replaced) > _MAX_REPLACED:
            self._replaced.popitem(last=False)


class Rejections:
    """The lines on which a proposal was rejected, at most 200; nothing is proposed there until they change.

    A line is known by its text, so it is still known when lines are inserted above it.

    >>> rejected = Rejections()
    >>> rejected.add("    total = a\\n")
    >>> "total = a" in rejected, "total = b" in rejected
    (True, False)
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._lines: OrderedDict[str, None] = OrderedDict()
        for line in lines:
            self.add(line)

    def add(self, line: str) -> None:
        """Note a line on which a proposal was rejected."""
        self._lines[line.strip()] = None
        while len(self._lines) > _MAX_REJECTED:
            self._lines.popitem(last=False)

    def __contains__(self, line: str) -> bool:
        return line.strip() in self._lines

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, without indentation."""
        return tuple(self._lines)


def _joined(edits: Sequence[_Edit], line: int, before: Sequence[str], now: float) -> _Edit:
    """Return one edit of a change and the edits that it touches, with places before the change."""
    end = line + len(before)
    start = min(line, edits[0].first) if edits else line
    old: list[str] = []
    place = start
    for edit in edits:
        old += [*before[max(0, place - line) : max(0, edit.first - line)], *edit.old]
        place = edit.end
    old += before[max(0, place - line) :]
    return _Edit(start, max([end, *(edit.end for edit in edits)]), old, now)


def _event(edit: _Edit, line: Callable[[int], str]) -> EditEvent:
    """Return the event of an edit, without lines that are the same before and after it."""
    old = [text for text in edit.old if text]
    new = [text for number in range(edit.first, edit.end) if (text := line(number))]
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return EditEvent(
        edit.first + start + 1, tuple(old[start : len(old) - end]), tuple(new[start : len(new) - end])
    )


def _split(text: str, num_lines: int) -> list[str]:
    """Split a text into this many lines; the last one may be empty."""
    return (_LINE.findall(text) + [""] * num_lines)[:num_lines]
