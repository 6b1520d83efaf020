"""Blocks around a hole: which lines open one, and how far blocks are indented."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from incoder.inference.decoding.stopping_rules.hole import Hole
from incoder.inference.syntax.syntax import BRACKETS

_OPENS_BLOCK = re.compile(rb":\s*(?:#.*)?\Z")
_MOST_LINES = 64  # of a statement that is looked at


def opens_block(line: bytes) -> bool:
    """Whether a line ends with a colon, a comment aside.

    >>> opens_block(b"if x:  # why"), opens_block(b"x = {1: 2}")
    (True, False)
    """
    return _OPENS_BLOCK.search(line) is not None


def last_statement(lines: Sequence[bytes]) -> Sequence[bytes]:
    """Return the lines from the one that opens the brackets which the last line closes, up to the last line.

    >>> last_statement([b"x = 1", b"def f(a,", b"      b):"])
    [b'def f(a,', b'      b):']
    """
    num_closed = 0
    for number in range(1, min(len(lines), _MOST_LINES) + 1):
        line = lines[-number]
        num_closed += sum(map(line.count, BRACKETS.values())) - sum(map(line.count, BRACKETS))
        if num_closed <= 0:
            return lines[-number:]
    return lines[-1:]


def block_unit(hole: Hole) -> bytes:
    """Return the most frequent indentation of a block near the hole, else four spaces."""
    units = Counter(
        inner[len(outer) :]
        for lines in (hole.lines_before, hole.lines_after)  # the line between them may be missing
        for line, following in pairwise(lines)
        if opens_block(line)
        if (inner := indentation(following)).startswith(outer := indentation(line)) and inner != outer
    )
    return max(units, key=units.__getitem__, default=b"    ")


def indentation(line: bytes) -> bytes:
    """Return the blanks at the start of a line.

    >>> indentation(b"  x")
    b'  '
    """
    return line[: len(line) - len(line.lstrip(b" \t"))]


def first_word(text: bytes) -> bytes:
    """Return the first word of a line without its indentation, or its first run of marks.

    >>> first_word(b"end if"), first_word(b";; esac")
    (b'end', b';;')
    """
    match = re.match(rb"[\w\x80-\xff]+[;.]?(?!\S)|[\w\x80-\xff]+|\S*", text)
    return match[0] if match is not None else b""
