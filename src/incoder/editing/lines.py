"""The lines of a text as Python counts them: `\\n`, `\\r\\n` and a lone `\\r` end a line.

Form feeds and the other separators of `str.splitlines` end no line. A byte order mark is not part of the
first line, so it stays when the line is replaced.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator

from incoder.errors import IncoderError

BYTE_ORDER_MARK = "\ufeff"

_LINE_END = re.compile(r"\r\n|\r|\n")


class Lines:
    """The lines of one text, numbered from 1.

    >>> lines = Lines("one\\ntwo\\n")
    >>> len(lines), lines.start(2), lines.number(5), lines.span(1, 1)
    (2, 4, 2, (0, 4))
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [start_of(text), *(match.end() for match in _LINE_END.finditer(text))]
        if len(self._starts) > 1 and self._starts[-1] == len(text):
            self._starts.pop()  # no line begins after the last line end

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[str]:
        """The lines with their ends; joined, they are the text without its byte order mark."""
        return (self[number] for number in range(1, len(self) + 1))

    def __getitem__(self, number: int) -> str:
        """The line of this number, with its end."""
        return self._text[self.start(number) : self.start(number + 1)]

    def start(self, number: int) -> int:
        """The position at which line `number` begins; for the number after the last line, the text's end."""
        return self._starts[number - 1] if number <= len(self) else len(self._text)

    def number(self, place: int) -> int:
        """The number of the line that the character at `place` is in."""
        return max(1, bisect_right(self._starts, place))

    def span(self, first: int, last: int) -> tuple[int, int]:
        """The range of the lines `first` to `last`, with the line end of the last one.

        Raises:
            IncoderError: the text has no such lines.
        """
        if not 1 <= first <= last:
            raise IncoderError(f"lines are counted from 1, the first before the last; got {first}:{last}")
        if last > len(self):
            raise IncoderError(f"there is no line {last}; the last one is {len(self)}")
        return self.start(first), self.start(last + 1)


def start_of(text: str) -> int:
    """The position of the first line: after the byte order mark, if there is one."""
    return len(BYTE_ORDER_MARK) if text.startswith(BYTE_ORDER_MARK) else 0


def line_end(text: str) -> str:
    """The line end of most lines: `\\r\\n` or `\\n`.

    >>> line_end("a\\r\\nb\\r\\nc\\n")
    '\\r\\n'
    """
    return "\r\n" if 2 * text.count("\r\n") > text.count("\n") else "\n"


def indentation(line: str) -> str:
    """The blanks at the start of a line."""
    return line[: len(line) - len(line.lstrip(" \t\f"))]
