"""The prefix tail: the last lines before a hole, which the model sees as the start of the hole's infill.

The rule that says where the tail of a hole begins is here and nowhere else: training cuts spans by it
(objective/), and prompts are written by it (inference/prompts/prefix_tail.py). How a tail is marked
in tokens is in infilling_format.py. Knows no tokens.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import AnyStr

# Between two holes, at most this many lines are kept as the suffix of the first hole; later ones may be in
# the prefix tail of the second.
LINES_BETWEEN_HOLES = 5

_BLANK = " \t\n\r\v\f"  # as bytes.isspace has it
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$")


def split_lines(text: AnyStr) -> list[AnyStr]:
    r"""Return the lines with their ends: CRLF, LF or CR, and not the other ends that `str.splitlines` knows.

    >>> split_lines("a\r\n\x0cb")
    ['a\r\n', '\x0cb']
    """
    return _LINE.findall(text) if isinstance(text, str) else text.splitlines(keepends=True)


def filled_lines(lines: Sequence[AnyStr]) -> list[int]:
    r"""Return the numbers, from 0, of the lines that are not blank.

    >>> filled_lines(["\n", "a\n", "  \n", "b"])
    [1, 3]
    """
    return [
        number
        for number, line in enumerate(lines)
        if (line.strip(_BLANK) if isinstance(line, str) else line.strip())
    ]


def first_tail_line(filled: Sequence[int], own_line: int, num_lines: int) -> int:
    """Return the number of the line with which the tail of a hole in line `own_line` begins.

    A tail of `num_lines` (1 or more) is the text before the hole on its own line, even where that is empty,
    and the `num_lines` - 1 lines before it that are not blank, with the blank ones among them; fewer where
    the text begins.

    >>> first_tail_line([0, 1, 3, 4], own_line=4, num_lines=3)
    1
    """
    before = bisect_left(filled, own_line)
    num_before = min(num_lines - 1, before)
    return filled[before - num_before] if num_before else own_line
