"""A hole as the stopping rules see it: the text around it, what is open at its start, its infill so far."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property

from incoder.inference.syntax.scanner import CONTEXT, START, Mark, Open, Place, Stack, last_place, scan
from incoder.inference.syntax.syntax import NEWLINE, Literal, Syntax

# Bytes that are scanned on each side of a hole: about 800 lines before it and 400 after it.
LOOK_BEHIND, LOOK_AHEAD = 1 << 15, 1 << 14

# The rest of the hole's line, if only nothing or indentation precedes the hole: no line begins like this.
_CONTINUES, _CONTINUES_INDENTED = re.compile(rb" ?[=:,] "), re.compile(rb" \S|[=:;,]")
_ATTRIBUTE = re.compile(rb"\.\w")  # the same in languages whose blocks are indented, outside of brackets


class Hole:
    """A hole between `prefix` and `suffix`, in a file of this syntax.

    `place` is a place in the prefix that the previous hole has been scanned up to.
    """

    def __init__(self, prefix: bytes, suffix: bytes, syntax: Syntax, place: Place = START) -> None:
        self.syntax = syntax
        self.suffix = suffix[:LOOK_AHEAD]
        self.sees_all_after = len(suffix) <= LOOK_AHEAD
        if place == START and len(prefix) > LOOK_BEHIND:
            line_start = prefix.find(NEWLINE, len(prefix) - LOOK_BEHIND) + 1
            place = Place(line_start or len(prefix) - LOOK_BEHIND)
        self.place = last_place(prefix, syntax, place, is_all=False)
        start = max(0, min(self.place.offset, len(prefix) - 1) - CONTEXT)
        self._tail = prefix[start:]
        self._place_in_tail = Place(self.place.offset - start, self.place.stack)
        self.stack = last_place(self._tail, syntax, self._place_in_tail).stack
        self.before, _, self.own_line = prefix[-LOOK_BEHIND:].rpartition(NEWLINE)
        self.rest, newline, self.after = self.suffix.partition(NEWLINE)
        self.has_line_end = bool(newline)
        self.is_line_start = not self.own_line.strip()
        self.ends_a_line = not self.rest.strip()
        self.is_in_text = bool(self.stack) and self.stack[-1].literal is not None  # in a string or comment

    @cached_property
    def lines_before(self) -> list[bytes]:
        """The lines before the hole's line that are not blank."""
        return [line for line in self.before.split(NEWLINE) if line.strip()]

    @cached_property
    def lines_after(self) -> list[bytes]:
        """The lines after the hole that are not blank, with the rest of its line if the hole begins it."""
        following = self.suffix if self.is_line_start else self.after
        return [line for line in following.split(NEWLINE) if line.strip()]

    @cached_property
    def is_middle(self) -> bool:
        """Whether the infill is inside a line that continues after it.

        If the hole begins its line, that is so only if no line could begin with the rest.
        """
        if self.ends_a_line or not self.is_line_start:
            return not self.ends_a_line
        if self.syntax.is_indented and not self.stack and _ATTRIBUTE.match(self.rest):
            return True
        return (_CONTINUES_INDENTED if self.own_line else _CONTINUES).match(self.rest) is not None

    @cached_property
    def enclosure(self) -> int | None:
        """The index in the stack of the string, comment, interpolation or tag that contains hole and suffix.

        Only the innermost one counts. None if the infill has to close it, or if there is none.
        """
        depth = next((i for i in reversed(range(len(self.stack))) if not self.stack[i].is_bracket), None)
        return depth if depth is not None and self._goes_on(depth) else None

    @property
    def closing(self) -> bytes:
        """The mark that ends the enclosure; nothing if there is none."""
        return b"" if self.enclosure is None else self.stack[self.enclosure].closing

    @property
    def literal(self) -> Literal | None:
        """The string or comment that both the hole and the suffix are in."""
        return None if self.enclosure is None else self.stack[self.enclosure].literal

    def _goes_on(self, depth: int) -> bool:
        """Whether the suffix begins inside the construct at this depth: it plausibly closes it."""
        enclosing = self.stack[depth]
        literal = enclosing.literal
        if enclosing.closing == NEWLINE:
            return not self.ends_a_line
        following = self.rest if enclosing.is_in_line else self.suffix
        marks = scan(following, self.syntax, Place(0, self.stack))
        closing = next((mark for mark in marks if len(mark.stack) <= depth), None)
        if closing is None or following[closing.start : closing.end] != enclosing.closing:
            return False
        if literal is None:
            return True
        if literal.opening != literal.closing:
            return literal.opening not in following[: closing.start]
        if not self.sees_all_after and closing.start <= len(self.rest):
            return True
        # Opening and closing quotes look alike: the string continues if the next quotes then pair up.
        is_even = _leaves_no_string_open(following, self.syntax, self.stack)
        return is_even or not _leaves_no_string_open(following, self.syntax, self.stack[:depth])

    @cached_property
    def code_stack(self) -> Stack:
        """The stack at the hole, without a string or comment that the infill has to close itself."""
        return self.stack[:-1] if self.is_in_text and self.literal is None else self.stack

    @cached_property
    def open_brackets(self) -> Stack:
        """The innermost brackets that are open around the hole, with nothing else between them."""
        stack = self.code_stack
        return stack[1 + max((i for i, each in enumerate(stack) if not each.is_bracket), default=-1) :]

    def num_misfits(self, infill: bytes) -> int:
        """Count the strings that this infill leaves open on the hole's line, and its unopened brackets."""
        data = self._tail + infill + self.rest.rstrip()
        marks = list(scan(data, self.syntax, self._place_in_tail))
        stack = marks[-1].stack if marks else self._place_in_tail.stack
        num_open = sum(_is_string(each) and each.is_in_line for each in stack)
        return num_open + sum(mark.is_unopened for mark in marks)

    def marks_of(self, infill: bytes) -> list[Mark]:
        """Return the marks that end in an infill and cannot change with more text, by place in the infill."""
        size = len(self._tail)
        marks = scan(self._tail + infill, self.syntax, self._place_in_tail, is_all=False)
        return [
            mark._replace(start=max(0, mark.start - size), end=mark.end - size)
            for mark in marks
            if mark.end > size
        ]


class Infill:
    """The infill of a hole so far, and its marks."""

    def __init__(self, hole: Hole, text: bytes) -> None:
        self.text = text
        self._hole = hole

    @cached_property
    def marks(self) -> list[Mark]:
        """The marks in the infill, with places counted from its start."""
        return self._hole.marks_of(self.text)

    def stack_at(self, place: int) -> Stack:
        """Return the stack after this many bytes."""
        return stack_at(self.marks, place, self._hole.stack)

    def is_text(self, place: int) -> bool:
        """Whether a line that begins here begins in a string or comment."""
        stack = self.stack_at(place)
        return bool(stack) and stack[-1].literal is not None and stack[-1].literal.spans_lines


def stack_at(marks: Sequence[Mark], place: int, stack: Stack) -> Stack:
    """Return the stack after the marks that end before a place; `stack` is the one before all marks."""
    num_before = bisect_right(marks, place, key=lambda mark: mark.end)
    return marks[num_before - 1].stack if num_before else stack


def letters(text: bytes) -> str:
    """Return the text without white space and without bytes that are not UTF-8.

    >>> letters(b"a + b ")
    'a+b'
    """
    return re.sub(r"\s", "", text.decode("utf-8", "ignore"))


def width(line: bytes) -> int:
    """Return the indentation of a line in columns; a tab reaches to the next multiple of 8.

    >>> width(b"    x"), width(b"\\tx")
    (4, 8)
    """
    line = line.expandtabs(8)
    return len(line) - len(line.lstrip(b" "))


def _leaves_no_string_open(text: bytes, syntax: Syntax, stack: Stack) -> bool:
    return not any(map(_is_string, last_place(text, syntax, Place(0, stack)).stack))


def _is_string(each: Open) -> bool:
    return each.literal is not None and not each.literal.is_comment
