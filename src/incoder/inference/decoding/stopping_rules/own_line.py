"""The stopping rules for the rest of the hole's own line and for its line end."""

import re

from incoder.inference.decoding.stopping_rules.hole import Hole, Infill
from incoder.inference.syntax.scanner import Stack

_OPENERS_AND_SEPARATORS = b"([{,;"
_SEPARATORS = b";,:"
_BEGINNING = re.compile(rb"\s*(?:,\s*\S|\S(?s:.))")
_BEGINNING_IN_TEXT = re.compile(rb"\s*\S(?s:..)")
_CLOSERS_AND_QUOTES = b"([{}])\"'`"


class OneLine:
    """An infill in the middle of a line is one line long; newlines before its first word do not count.

    It continues over a newline where a statement cannot end: in a string or comment of several lines, after a
    backslash or the colon of a block, and inside brackets after an opening bracket or a separator, unless the
    rest of the line begins with the same character.
    """

    def __init__(self, hole: Hole) -> None:
        self._is_on = hole.is_middle
        self._own_line = hole.own_line
        self._is_indented = hole.syntax.is_indented
        self._next = hole.rest.strip()[:1]

    def cut(self, infill: Infill) -> int | None:
        if not self._is_on:
            return None
        for newline in re.finditer(rb"\n", infill.text):
            if not infill.text[: newline.start()].strip():
                continue
            line = (self._own_line + infill.text[: newline.start()]).rpartition(b"\n")[2].rstrip()
            if not infill.is_text(newline.start()) and not self._goes_on(
                line, infill.stack_at(newline.start())
            ):
                return newline.start()
        return None

    def num_committed(self, infill: Infill) -> int:
        return len(infill.text)

    def _goes_on(self, line: bytes, stack: Stack) -> bool:
        """Whether the next line continues this one; `stack` is what is open at its end."""
        if not line or line[-1:] == self._next:
            return False
        if stack and stack[-1].is_bracket:
            return line[-1:] in _OPENERS_AND_SEPARATORS
        return line.endswith(b"\\") or (self._is_indented and line.endswith(b":"))


class LineEnd:
    """An infill that is followed by a newline does not end with newlines itself."""

    def __init__(self, hole: Hole) -> None:
        self._is_on = hole.ends_a_line and hole.has_line_end

    def trimmed(self, text: bytes) -> int:
        if not self._is_on:
            return len(text)
        kept = text.rstrip()
        return len(kept) if b"\n" in text[len(kept) :] or not kept else len(text)

    def num_kept(self, text: bytes) -> int:
        return len(text.rstrip()) if self._is_on else len(text)


class RestOfLine:
    """An infill in the middle of a line ends where the rest of its line begins, and does not repeat that.

    It is cut where the first two characters of the rest appear, outside of brackets and strings that the
    infill opens; in a string or comment, where words repeat more often, the first three. When an infill has
    ended, an end that repeats the beginning of the rest is removed: two characters or more, one separator, or
    closing brackets and quotes that would be one too many.
    """

    def __init__(self, hole: Hole) -> None:
        self._hole = hole
        self._is_on = hole.is_middle
        self._rest = hole.rest.strip() if self._is_on else b""
        beginning = (_BEGINNING_IN_TEXT if hole.literal is not None else _BEGINNING).match(hole.rest)
        self._beginning = beginning[0] if self._is_on and beginning is not None else b""
        self._begins_blank = self._is_on and hole.rest[:1].isspace()

    def cut(self, infill: Infill) -> int | None:
        place = infill.text.find(self._beginning) if self._beginning else -1
        while place >= 0:
            if len(infill.stack_at(place)) == len(self._hole.stack):
                return place
            place = infill.text.find(self._beginning, place + 1)
        return None

    def num_committed(self, infill: Infill) -> int:
        return self.num_kept(infill.text)

    def trimmed(self, text: bytes) -> int:
        if not self._is_on:
            return len(text)
        written = text.rstrip()
        for size in range(min(len(self._rest), len(written)), 0, -1):
            if written.endswith(self._rest[:size]) and self._is_double(written, size):
                return self._without_blanks(written[:-size])
        return self._without_blanks(text)

    def num_kept(self, text: bytes) -> int:
        if not self._is_on:
            return len(text)
        end = len(text.rstrip())
        starts = range(max(0, end - len(self._rest)), end)
        begun = next((start for start in starts if self._rest.startswith(text[start:end])), end)
        return len(text[:begun].rstrip())

    def _without_blanks(self, text: bytes) -> int:
        return len(text.rstrip()) if self._begins_blank else len(text)

    def _is_double(self, written: bytes, size: int) -> bool:
        """Whether the last bytes of an infill, which also begin the rest of the line, are superfluous."""
        same = self._rest[:size]
        if len(same) == 1 and same in _SEPARATORS:
            return True
        if not same.strip(_CLOSERS_AND_QUOTES):
            return self._hole.num_misfits(written[:-size]) < self._hole.num_misfits(written)
        return len(same.decode("utf-8", "replace")) >= (2 if self._hole.literal is None else 3)
