"""Where a fill should have ended, told by the text around its hole: small rules, each for itself.

A model that runs past its hole writes what stands behind it again, writes the same lines over and over,
leaves the block that the hole is in, or closes a bracket that is closed already. Bytes in, a place in the
fill out: from there on it is cut off. The rules need no parser, so that they work in the middle of
a broken file and in any language that indents or has brackets; quotes, Python's triple ones too, and comments
of one line are the only syntax they know.
"""

import re
from collections.abc import Callable, Collection
from typing import Literal, Protocol, get_args

EdgeRule = Literal["repetition", "loops", "indentation", "brackets"]
ALL_EDGE_RULES: tuple[EdgeRule, ...] = get_args(EdgeRule)

_TELLING_BYTES = 8  # a line with fewer than these that are not blank may well stand twice
_MAX_LOOP_LINES = 4
_GOES_ON = (b"else", b"elif", b"except", b"finally", b"case", b"default", b"catch")  # the same statement
_CLOSERS = {b")": b"(", b"]": b"[", b"}": b"{"}
_MARKS = re.compile(
    rb"""
    (?P<quotes>"{3}|'{3}) (?s:\\.|[^\\])*? (?:(?P=quotes)|\\?\Z)
    | '(?:\\.|[^'\\\n])*'? | "(?:\\.|[^"\\\n])*"?
    | [()\[\]{}\n] | \#[^\n]*""",
    re.VERBOSE,
)


class Rule(Protocol):
    """One rule for one hole, asked again with every token of its fill."""

    def cut(self, fill: bytes) -> int | None:
        """Where the fill so far must be cut, None where it is fine."""

    def num_settled(self, fill: bytes) -> int:
        """So many bytes of a fill that is fine will not be cut off, whatever comes."""


class Edge:
    """The rules of these names together, for a hole between `prefix` and `suffix`."""

    def __init__(self, prefix: bytes, suffix: bytes, rules: Collection[EdgeRule]) -> None:
        makers: dict[EdgeRule, tuple[Callable[[bytes, bytes], Rule], ...]] = {
            "repetition": (Repetition, RestOfLine),
            "loops": (Loops,),
            "indentation": (Indentation,),
            "brackets": (Brackets,),
        }
        self._rules = [make(prefix, suffix) for rule in rules for make in makers[rule]]
        self._ends_a_line = not suffix.partition(b"\n")[0].strip()

    def cut(self, fill: bytes) -> int | None:
        return min((place for rule in self._rules if (place := rule.cut(fill)) is not None), default=None)

    def cut_at_end(self, fill: bytes) -> int | None:
        """Where a fill that has ended must be cut; if a line ends there, that line counts, too."""
        if self._ends_a_line:
            return self.cut(fill + b"\n")
        rests = [rule for rule in self._rules if isinstance(rule, RestOfLine)]
        return next((rule.cut_at_end(fill) for rule in rests), None)

    def num_settled(self, fill: bytes) -> int:
        return min((rule.num_settled(fill) for rule in self._rules), default=len(fill))


class Repetition:
    """A fill must not end in the next line that follows, or the next two where that one tells little."""

    def __init__(self, prefix: bytes, suffix: bytes) -> None:
        self._is_line_start = _is_line_start(prefix)
        following = suffix if self._is_line_start else suffix.partition(b"\n")[2]
        lines = [line.rstrip() for line in following.split(b"\n") if line.strip()]
        self._wanted = lines[: 1 if _is_telling(lines[:1]) else 2]
        if not re.search(rb"\w", b"".join(self._wanted)):
            self._wanted = []

    def cut(self, fill: bytes) -> int | None:
        whole_lines = fill[: fill.rfind(b"\n") + 1].rstrip()
        if not self._wanted or not whole_lines.endswith(self._wanted[-1]):
            return None
        lines = [(start, line) for start, line in self._lines(fill) if line.endswith(b"\n")]
        last = lines[len(lines) - len(self._wanted) :]
        if [line.rstrip() for _, line in last] == self._wanted:
            return last[0][0]
        return None

    def num_settled(self, fill: bytes) -> int:
        lines = self._lines(fill)
        for number in range(min(len(self._wanted), len(lines)), 0, -1):
            last = lines[len(lines) - number :]
            whole = [line.rstrip() for _, line in last[:-1]]
            if whole == self._wanted[: number - 1] and self._wanted[number - 1].startswith(
                last[-1][1].rstrip()
            ):
                return last[0][0]
        return len(fill)

    def _lines(self, fill: bytes) -> list[tuple[int, bytes]]:
        """Where lines start, those left out that are blank for good, and the rest of the hole's own line."""
        lines, start = [], 0
        for line in fill.split(b"\n"):
            end = start + len(line) + 1
            if (line.strip() or end > len(fill)) and (start or self._is_line_start):
                lines.append((start, fill[start:end]))
            start = end
        return lines


class RestOfLine:
    """A fill must not end in what follows the hole on its own line, nor write that and the next line again.

    Brackets and commas alone do not count, which may well stand twice, nor does the rest of a short word. A
    colon does.
    """

    def __init__(self, prefix: bytes, suffix: bytes) -> None:
        rest, _, following = suffix.partition(b"\n")
        rest = b"" if _is_line_start(prefix) else rest.rstrip()
        says_something = _is_telling([rest]) or re.match(rb"\W.*\w|.*:\Z", rest)
        self._rest = rest if says_something else b""
        self._next_line = next((line.rstrip() for line in following.split(b"\n") if line.strip()), None)

    def cut(self, fill: bytes) -> int | None:
        lines = fill.split(b"\n")
        if len(lines) < 3 or lines[-2].rstrip() != self._next_line:
            return None
        return self._place(fill[: -len(lines[-1]) - len(lines[-2]) - 2])

    def cut_at_end(self, fill: bytes) -> int | None:
        """Where a fill that has ended must be cut."""
        return self._place(fill)

    def num_settled(self, fill: bytes) -> int:
        if not self._rest:
            return len(fill)
        before, _, last = fill.rpartition(b"\n")
        if self._next_line is not None and self._next_line.startswith(last.rstrip()):
            place = self._place(before)
            if place is not None:
                return place
        place = self._place(fill)
        if place is not None:
            return place
        longest = min(len(self._rest), len(last))
        begun = next((size for size in range(longest, 0, -1) if last.endswith(self._rest[:size])), 0)
        return len(fill) - begun

    def _place(self, fill: bytes) -> int | None:
        """Where the rest of the line begins that the fill ends in, blanks aside."""
        text = fill.rstrip()
        return len(text) - len(self._rest) if self._rest and text.endswith(self._rest) else None


class Loops:
    """A fill must not write the same one to four lines three times in a row: once is kept.

    The first time may stand right before the hole, and then nothing is kept. Blank lines do not count.
    """

    def __init__(self, prefix: bytes, suffix: bytes) -> None:
        del suffix
        *before, self._hole_line = prefix.split(b"\n")
        self._before = [line.rstrip() for line in before if line.strip()][-_MAX_LOOP_LINES:]
        self._first_own = len(self._before) + bool(self._hole_line.strip())  # line that the fill writes whole

    def cut(self, fill: bytes) -> int | None:
        lines, ends, _ = self._lines(fill)
        for size in range(1, _MAX_LOOP_LINES + 1):
            first, second, third = lines[-3 * size : -2 * size], lines[-2 * size : -size], lines[-size:]
            if first == second == third and _is_telling(first) and len(lines) - 2 * size >= self._first_own:
                return ends[-2 * size - 1]
        return None

    def num_settled(self, fill: bytes) -> int:
        lines, ends, last = self._lines(fill)
        settled = len(fill)
        for size in range(1, min(_MAX_LOOP_LINES, len(lines)) + 1):
            second = len(lines)  # where the second time would begin, were what is written now in the third
            if lines[second - size].startswith(last.rstrip()):
                while second > max(size, self._first_own) and lines[second - 1] == lines[second - 1 - size]:
                    second -= 1
                settled = min(settled, ends[second - 1])
        return settled

    def _lines(self, fill: bytes) -> tuple[list[bytes], list[int], bytes]:
        """The lines that are finished and not blank, some from before the hole; where each ends in the fill
        (0 before it); and the last one, which is not finished."""
        lines, ends, end = list(self._before), [0] * len(self._before), -len(self._hole_line)
        *finished, last = (self._hole_line + fill).split(b"\n")
        for line in finished:
            end += len(line) + 1
            if line.strip():
                lines.append(line.rstrip())
                ends.append(end)
        return lines, ends, last


class Indentation:
    """No line of a fill may stand further left than its first one and as far left as what follows, or, where
    nothing does, at the margin.

    Lines that go on with a statement (`else:`, a closing bracket) may.
    """

    def __init__(self, prefix: bytes, suffix: bytes) -> None:
        self._hole_line = prefix.rpartition(b"\n")[2]
        following = suffix if _is_line_start(prefix) else suffix.partition(b"\n")[2]
        self._right = _width(next((line for line in following.split(b"\n") if line.strip()), b""))

    def cut(self, fill: bytes) -> int | None:
        left, start = None, 0
        lines = (self._hole_line + fill).split(b"\n")
        for number, line in enumerate(lines):
            is_last = number == len(lines) - 1
            if line.strip():
                width = _width(line)
                left = width if left is None else left
                if width < left and width <= self._right and not _goes_on(line, is_last):
                    return start - len(self._hole_line)
            start += len(line) + 1
        return None

    def num_settled(self, fill: bytes) -> int:
        start = fill.rfind(b"\n") + 1
        return start if start and (not fill[start:].strip() or _goes_on(fill[start:], True)) else len(fill)


class Brackets:
    """A bracket that is opened before the hole and closed behind it must not be closed in it.

    Behind it is what belongs to the hole's own statement as far as indentation tells.
    """

    def __init__(self, prefix: bytes, suffix: bytes) -> None:
        width = _statement_width(prefix)
        self._closed_behind = _first_unopened(suffix, lambda line: _width(line) > width)[1]

    def cut(self, fill: bytes) -> int | None:
        if self._closed_behind is None:
            return None
        place, closer = _first_unopened(fill, lambda _: True)
        return place if closer == self._closed_behind else None

    def num_settled(self, fill: bytes) -> int:
        return len(fill)


def _first_unopened(text: bytes, goes_on: Callable[[bytes], bool]) -> tuple[int | None, bytes | None]:
    """Where a bracket is closed that was not opened in this text, and which.

    Only as far as lines go on with the first: those that are blank or begin with a closing bracket do.
    """
    num_open = 0
    for match in _MARKS.finditer(text):
        mark = match[0]
        if mark == b"\n":
            line = text[match.end() : 1 + text.find(b"\n", match.end()) or None]
            if line.strip() and line.strip()[:1] not in _CLOSERS and not goes_on(line):
                break
        num_open += (mark in _CLOSERS.values()) - (mark in _CLOSERS)
        if num_open < 0:
            return match.start(), mark
    return None, None


def _statement_width(prefix: bytes) -> int:
    """How far the statement is indented that the hole is in.

    That of its line, or where that is empty of the last one that is not blank. Where this one stands in
    brackets, that of the line before it that opens them: one further left that ends in a bracket or a comma.
    """
    *before, line = prefix.split(b"\n")
    before = [other for other in before if other.strip()]
    width = _width(line or (before.pop() if before else b""))
    left = next((other for other in reversed(before) if _width(other) < width), b"").rstrip()
    return _width(left) if left[-1:] in (*_CLOSERS.values(), b",") else width


def _is_telling(lines: list[bytes]) -> bool:
    """Whether these lines are more than brackets, numbers and short words, which may well stand twice."""
    text = b"".join(b"".join(lines).split())
    return len(text) >= _TELLING_BYTES and re.search(rb"[^\W\d]", text) is not None


def _is_line_start(prefix: bytes) -> bool:
    """Whether nothing but blanks stands before the hole on its line."""
    return not prefix.rpartition(b"\n")[2].strip()


def _width(line: bytes) -> int:
    line = line.expandtabs(8)
    return len(line) - len(line.lstrip(b" "))


def _goes_on(line: bytes, may_grow: bool) -> bool:
    """Whether a line belongs to the statement before it; one that is still written may yet turn out to."""
    text = line.strip()
    if text[:1] in _CLOSERS:
        return True
    word = re.match(rb"\w*", text)
    assert word is not None
    if may_grow and word[0] == text:
        return any(keyword.startswith(text) for keyword in _GOES_ON)
    return word[0] in _GOES_ON
