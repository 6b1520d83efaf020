"""The stopping rule for brackets that are closed after a hole."""

import re
from collections import Counter
from collections.abc import Sequence

from incoder.inference.decoding.stopping_rules.hole import Hole, Infill, stack_at, width
from incoder.inference.syntax.scanner import Mark, Place, scan
from incoder.inference.syntax.syntax import BRACKETS

CLOSERS = frozenset(BRACKETS.values())
_BRACE = b"}"


class Brackets:
    """An infill must not close more brackets than its prefix opens and its suffix leaves open.

    Parentheses and square brackets count up to the end of the hole's own statement, which indentation shows.
    Braces count for all blocks around the hole, unless the language marks blocks by indentation.
    """

    def __init__(self, hole: Hole) -> None:
        self._has_braces = not hole.syntax.is_indented
        self._depth = len(hole.code_stack)
        opened = Counter(self._is_brace(each.closing) for each in hole.open_brackets)
        closers = [] if hole.literal is not None else self._closers_after(hole)
        # Keyed by whether it is a brace: the next closing bracket, and how many the infill may still close.
        self._next: dict[bool, bytes] = {}
        for closer in closers:
            self._next.setdefault(self._is_brace(closer), closer)
        if opened[True] and hole.literal is None and not hole.sees_all_after:
            self._next[True], opened[True] = _BRACE, 0  # assume that the unread suffix closes them all
        closed = Counter(map(self._is_brace, closers))
        self._num_left = {kind: max(0, opened[kind] - closed[kind]) for kind in (True, False)}

    def cut(self, infill: Infill) -> int | None:
        if not self._next:
            return None
        num_closed = {True: 0, False: 0}
        depth = self._depth
        for mark in infill.marks:
            closer = mark.text
            if closer not in CLOSERS or not (mark.is_unopened or len(mark.stack) < depth):
                continue
            depth = min(depth, len(mark.stack))
            kind = self._is_brace(closer)
            num_closed[kind] += 1
            if self._next.get(kind) == closer and num_closed[kind] > self._num_left[kind]:
                return mark.start
        return None

    def num_committed(self, infill: Infill) -> int:
        return len(infill.text)

    def _is_brace(self, closer: bytes) -> bool:
        return closer == _BRACE and self._has_braces

    def _closers_after(self, hole: Hole) -> list[bytes]:
        """Return the brackets that the suffix closes without having opened them, from the inside out."""
        around = hole.code_stack[: len(hole.code_stack) - len(hole.open_brackets)]
        marks = []
        for mark in scan(hole.suffix, hole.syntax, Place(0, around)):
            if len(mark.stack) < len(around):  # the interpolation that the hole is in has ended
                break
            marks.append(mark)
        end = _statement_end(hole, marks)
        return [
            mark.text
            for mark in marks
            if mark.is_unopened and (mark.start < end or self._is_brace(mark.text))
        ]


def _statement_end(hole: Hole, marks: Sequence[Mark]) -> int:
    """Return the end, in the suffix, of the statement that contains the hole.

    The statement continues over lines that are blank, begin with a closing bracket, begin inside a string, or
    are indented more than the statement.
    """
    limit = _statement_width(hole)
    for newline in re.finditer(rb"\n", hole.suffix):
        line = hole.suffix[newline.end() : 1 + hole.suffix.find(b"\n", newline.end()) or None]
        if not line.strip() or line.strip()[:1] in CLOSERS or width(line) > limit:
            continue
        stack = stack_at(marks, newline.start(), ())
        if not (stack and stack[-1].literal and stack[-1].literal.spans_lines):
            return newline.end()
    return len(hole.suffix)


def _statement_width(hole: Hole) -> int:
    """Return the indentation of the statement that contains the hole.

    It is that of the hole's line or, if the hole's line is empty, of the last line before it that is not
    blank. If that line is inside brackets, it is the indentation of the line that opens them: the nearest
    line before it that is indented less and ends with an opening bracket or a comma.
    """
    before = list(hole.lines_before)
    own = width(hole.own_line or (before.pop() if before else b""))
    left = next((line for line in reversed(before) if width(line) < own), b"").rstrip()
    return width(left) if left[-1:] in (*BRACKETS, b",") else own
