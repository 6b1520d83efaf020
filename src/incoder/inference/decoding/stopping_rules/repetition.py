"""The stopping rules for repeated lines: those after the hole, before it, or in the infill itself."""

import re

from incoder.inference.decoding.stopping_rules.hole import Hole, Infill, letters

_TELLING_CHARACTERS = 8  # lines with fewer characters that are not blank often occur twice by chance
_WIDE = 0x2E80  # characters from here on (CJK) count as two
_MAX_LOOP_LINES = 4


class Repetition:
    """An infill is cut before the line that follows the hole; before the next two if that one is short."""

    def __init__(self, hole: Hole) -> None:
        self._is_line_start = hole.is_line_start
        lines = [line.rstrip() for line in hole.lines_after]
        self._wanted = lines[: 1 if is_telling(lines[:1]) else 2]
        if not re.search(r"\w", letters(b"".join(self._wanted))):
            self._wanted = []

    def cut(self, infill: Infill) -> int | None:
        if not self._wanted or self._wanted[-1] not in infill.text:
            return None
        lines = [(start, line) for start, line in self._lines(infill.text) if line.endswith(b"\n")]
        size = len(self._wanted)
        for last in range(size, len(lines) + 1):
            if [line.rstrip() for _, line in lines[last - size : last]] == self._wanted:
                return lines[last - size][0]
        return None

    def num_committed(self, infill: Infill) -> int:
        lines = self._lines(infill.text)
        for number in range(min(len(self._wanted), len(lines)), 0, -1):
            last = lines[len(lines) - number :]
            whole = [line.rstrip() for _, line in last[:-1]]
            if whole == self._wanted[: number - 1] and self._wanted[number - 1].startswith(
                last[-1][1].rstrip()
            ):
                return last[0][0]
        return len(infill.text)

    def _lines(self, text: bytes) -> list[tuple[int, bytes]]:
        """Return the lines and their starts, without finished blank lines and without the hole's own line."""
        lines, start = [], 0
        for line in text.split(b"\n"):
            end = start + len(line) + 1
            if (line.strip() or end > len(text)) and (start or self._is_line_start):
                lines.append((start, text[start:end]))
            start = end
        return lines


class Loops:
    """An infill must not write the same one to four lines three times in a row: they are kept once.

    If they first occur directly before the hole, none is kept. Blank lines do not count. An infill must not
    begin with a repetition of the line directly before the hole (none of the 1,033 missing lines of HumanEval
    does) either, except in markup, where elements repeat.
    """

    def __init__(self, hole: Hole) -> None:
        self._hole_line = hole.own_line
        self._before = [line.rstrip() for line in hole.lines_before][-_MAX_LOOP_LINES:]
        # The index of the first line that is entirely the infill's.
        self._first_own = len(self._before) + bool(self._hole_line.strip())
        has_line_before = hole.is_line_start and hole.before.rpartition(b"\n")[2].strip()
        self._line_before = None if hole.syntax.is_markup or not has_line_before else self._before[-1]

    def cut(self, infill: Infill) -> int | None:
        lines, ends, _ = self._lines(infill.text)
        if lines[self._first_own :][:1] == [self._line_before] and is_telling(lines[self._first_own :][:1]):
            return 0
        for num_lines in range(self._first_own + 1, len(lines) + 1):
            for size in range(1, _MAX_LOOP_LINES + 1):
                first, second, third = (
                    lines[max(0, num_lines - (times + 1) * size) : max(0, num_lines - times * size)]
                    for times in (2, 1, 0)
                )
                if first == second == third and num_lines - 2 * size >= self._first_own and is_telling(first):
                    return ends[num_lines - 2 * size - 1]
        return None

    def num_committed(self, infill: Infill) -> int:
        lines, ends, last = self._lines(infill.text)
        committed = len(infill.text)
        for size in range(1, min(_MAX_LOOP_LINES, len(lines)) + 1):
            second = len(lines)  # the start of the second occurrence if the unfinished line is in the third
            if lines[second - size].startswith(last.rstrip()):
                while second > max(size, self._first_own) and lines[second - 1] == lines[second - 1 - size]:
                    second -= 1
                committed = min(committed, ends[second - 1])
        return committed

    def _lines(self, text: bytes) -> tuple[list[bytes], list[int], bytes]:
        """Return the finished lines that are not blank, their ends, and the last, unfinished line.

        The last lines before the hole come first. Ends are places in the infill, 0 for lines before the hole.
        """
        lines, ends, end = list(self._before), [0] * len(self._before), -len(self._hole_line)
        *finished, last = (self._hole_line + text).split(b"\n")
        for line in finished:
            end += len(line) + 1
            if line.strip():
                lines.append(line.rstrip())
                ends.append(end)
        return lines, ends, last


def is_telling(lines: list[bytes]) -> bool:
    """Whether these lines are more than brackets, numbers and short words, which repeat by chance.

    >>> is_telling([b"    total += price"]), is_telling([b"    )", b"]"])
    (True, False)
    """
    text = letters(b"".join(lines))
    size = sum(2 if ord(character) >= _WIDE else 1 for character in text)
    return size >= _TELLING_CHARACTERS and re.search(r"[^\W\d]", text) is not None
