"""The stopping rules for the rest of the hole's own line and for its line end."""

import re
from collections.abc import Iterator

from incoder.inference.decoding.stopping_rules.hole import Hole, Infill
from incoder.inference.syntax.scanner import Stack
from incoder.inference.syntax.syntax import ENDS_WITH_OPERATOR, OPERATORS

_OPENERS_AND_SEPARATORS = b"([{,;"
_SEPARATORS = b";,:"
_LACKS_MORE = b"([" + OPERATORS
_ENDS_OF_LINES = (b":", b"{", b";", *ENDS_WITH_OPERATOR)
_BEGINNING = re.compile(rb"\s*(?:,\s*\S|\S(?s:.))")
_CLOSERS_AND_QUOTES = b"}])\"'`"
_LONG_PART = 8  # bytes of the rest of a line that hardly occur by chance
_MAX_WAIT = 48  # bytes after a place for a better one


class OneLine:
    """An infill in the middle of a line is one line long, unless a bracket or string is open at the hole.

    If one is, the infill continues over a newline where a statement cannot end: in the string, after a
    backslash, and inside brackets after an opening bracket or a separator, unless the rest of the line begins
    with the same character. Newlines before the infill's first word do not count. A model that
    `hardly_ends` infills itself writes one line into a text of several lines, too, unless the rest closes it.
    """

    def __init__(self, hole: Hole, *, hardly_ends: bool = False) -> None:
        self._is_on = hole.is_middle
        self._is_line_of_text = hardly_ends and not hole.rest.lstrip().startswith(hole.closing)
        self._num_open = len(hole.stack)
        self._own_line = hole.own_line
        self._next = hole.rest.strip()[:1]

    def cut(self, infill: Infill) -> int | None:
        if not self._is_on:
            return None
        for newline in re.finditer(rb"\n", infill.text):
            if not infill.text[: newline.start()].strip():
                continue
            if not self._num_open:
                return newline.start()
            line = (self._own_line + infill.text[: newline.start()]).rpartition(b"\n")[2].rstrip()
            stack = infill.stack_at(newline.start())
            if infill.is_text(newline.start()):
                goes_on = not (self._is_line_of_text and len(stack) == self._num_open)
            else:
                goes_on = self._goes_on(line, stack)
            if not goes_on:
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
        return line.endswith(b"\\")


class NoLeadingNewline:
    """An infill in the middle of a line does not begin with a newline where a line hardly ends.

    That is after a blank, an opening bracket or an operator.
    """

    def __init__(self, hole: Hole) -> None:
        before = hole.own_line.rstrip()
        ends = before.endswith(_ENDS_OF_LINES) or (before == hole.own_line and before[-1:] not in _LACKS_MORE)
        self.is_on = hole.is_middle and not hole.is_line_start and not hole.is_in_text and not ends

    def may_be(self, infill: bytes) -> bool:
        return self.may_begin(infill)

    def may_begin(self, infill: bytes) -> bool:
        return not infill.lstrip(b" \t").startswith(b"\n")


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

    It is cut where the first two characters of the rest appear (or its only one and the line end), outside of
    brackets and strings that the infill opens and the rest does not close. Of several such places, the one is
    taken that the longest part of the rest follows: at once if that part is long, else when the line ends or
    some words later.

    When an infill has ended, an end that repeats the beginning of the rest is removed: two characters or
    more, all of the rest (but a digit), one separator, or closing brackets and quotes that would be one too
    many. If the infill `needs_text`, none of this leaves it blank.
    """

    def __init__(self, hole: Hole, *, needs_text: bool = False) -> None:
        self._hole = hole
        self._is_on = hole.is_middle
        self._line = hole.rest + b"\n" * hole.has_line_end
        self._rest = hole.rest.strip() if self._is_on else b""
        beginning = _BEGINNING.match(self._line)
        self._beginning = beginning[0] if self._is_on and beginning is not None else b""
        self._begins_blank = self._is_on and hole.rest[:1].isspace()
        self._num_misfits = hole.num_misfits(b"") if self._is_on else 0
        self._size_in_enclosure = hole.rest.find(hole.closing) if hole.closing else -1
        self._needs_text = needs_text

    def cut(self, infill: Infill) -> int | None:
        best = self._best_place(infill)
        if best is None:
            return None
        place, size = best
        is_sure = size >= min(_LONG_PART, len(self._line))
        is_late = len(infill.text) - place > _MAX_WAIT or b"\n" in infill.text[place:]
        return place if is_sure or is_late else None

    def num_committed(self, infill: Infill) -> int:
        return self.num_kept(infill.text)

    def cut_at_end(self, infill: Infill) -> int | None:
        """Return the place where an infill that has ended must be cut; None if it need not be."""
        best = self._best_place(infill)
        return None if best is None else best[0]

    def _best_place(self, infill: Infill) -> tuple[int, int] | None:
        """Return the place that the longest part of the rest follows, and the size of that part."""
        best = None
        for place in self._places(infill):
            size = _size_of_common_prefix(infill.text[place:], self._line)
            if best is None or size > best[1]:
                best = (place, size)
            if size >= _LONG_PART:
                break
        return best

    def _places(self, infill: Infill) -> Iterator[int]:
        """Yield the places where the rest of the line begins in an infill."""
        place = infill.text.find(self._beginning) if self._beginning else -1
        while place >= 0:
            if self._fits(infill, place) and not (self._needs_text and not infill.text[:place].strip()):
                yield place
            place = infill.text.find(self._beginning, place + 1)

    def _fits(self, infill: Infill, place: int) -> bool:
        """Whether the rest of the line may begin here: it closes the brackets that the infill opens."""
        if len(infill.stack_at(place)) <= len(self._hole.stack):
            return True
        return self._hole.num_misfits(infill.text[:place]) < self._num_misfits

    def trimmed(self, text: bytes) -> int:
        if not self._is_on:
            return len(text)
        written = text.rstrip()
        for size in range(min(len(self._rest), len(written)), 0, -1):
            kept = written[:-size]
            if self._needs_text and not kept.strip():
                continue
            if written.endswith(self._rest[:size]) and self._is_double(written, size):
                return self.without_blanks(kept)
        return self.without_blanks(text)

    def num_kept(self, text: bytes) -> int:
        if not self._is_on:
            return len(text)
        text = text[: next(self._places(Infill(self._hole, text)), None)]
        end = len(text.rstrip())
        starts = range(max(0, end - len(self._rest)), end)
        begun = next((start for start in starts if self._rest.startswith(text[start:end])), end)
        return len(text[:begun].rstrip())

    def without_blanks(self, text: bytes) -> int:
        """Return the size of an infill without the blanks with which the rest of the line begins."""
        return len(text.rstrip()) if self._begins_blank else len(text)

    def _is_double(self, written: bytes, size: int) -> bool:
        """Whether the last bytes of an infill, which also begin the rest of the line, are superfluous."""
        same = self._rest[:size]
        if len(same) == 1 and same in _SEPARATORS:
            return True
        if not same.strip(_CLOSERS_AND_QUOTES):
            return self._hole.num_misfits(written[:-size]) < self._hole.num_misfits(written)
        if size in (len(self._rest), self._size_in_enclosure) and not same.isdigit():
            return True
        return len(same.decode("utf-8", "replace")) > 1


def _size_of_common_prefix(one: bytes, other: bytes) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((size for size, (a, b) in pairs if a != b), min(len(one), len(other)))
