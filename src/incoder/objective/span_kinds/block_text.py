"""A block's text as the kinds of spans see it: its lines, and what Python's lexical rules find in it.

A block may begin anywhere in a file, so its text may not parse, and `ast` and `tokenize` would refuse it. The
patterns here read any bytes, and mean the same in every version of Python. In other languages they find
strings, names and brackets, too; a mistake, such as an apostrophe in a comment, ends with its line.
"""

import keyword
import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple, TypeVar

import numpy as np

from incoder.tokenizer.prefix_tail import filled_lines, split_lines

T = TypeVar("T")

_STRING_OR_COMMENT = rb"""
    "(?: "" [^"\\]*+ (?:(?:\\.|"(?!""))[^"\\]*+)*+ "{3} | [^"\\\r\n]*+ (?:\\.[^"\\\r\n]*+)*+ " )
  | '(?: '' [^'\\]*+ (?:(?:\\.|'(?!''))[^'\\]*+)*+ '{3} | [^'\\\r\n]*+ (?:\\.[^'\\\r\n]*+)*+ ' )
  | \#[^\r\n]*
"""
# Each pattern begins with a literal in every branch, which the engine finds fast.
_STRING = re.compile(_STRING_OR_COMMENT, re.VERBOSE | re.DOTALL)
_BRACKET = re.compile(_STRING_OR_COMMENT + rb"|[(\[{,)\]}]", re.VERBOSE | re.DOTALL)
_NAME = re.compile(rb"(?<![\w\x80-\xff])[A-Za-z_\x80-\xff][\w\x80-\xff]*+")
_KEYWORDS = frozenset(word.encode() for word in (*keyword.kwlist, "self", "cls"))

_HASH, _COMMA = b"#,"
TRIPLE_QUOTES = (b'"""', b"'''")

Range = tuple[int, int]  # from a byte to before another


class Brackets(NamedTuple):
    """A pair of brackets: where the opening one is, and the parts between its commas, if not blank.

    The parts have no white space around them.
    """

    start: int
    items: tuple[Range, ...]


class BlockText:
    """The bytes of a block. Positions are byte offsets; lines are numbered from 0."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lines = split_lines(data)
        self.starts = [0, *accumulate(map(len, self.lines))]  # of each line, and the end of the text
        self.filled = filled_lines(self.lines)  # the lines that are not blank

    @cached_property
    def literals(self) -> list[Range]:
        """The string literals and the comments, without the letters before a string."""
        return [match.span() for match in _STRING.finditer(self.data)]

    @cached_property
    def strings(self) -> list[Range]:
        """The content of each string literal that has any, between its quotes."""
        contents = list[Range]()
        for start, end in self.literals:
            if self.data[start] != _HASH:
                width = 3 if end - start >= 6 and self.data[start : start + 3] in TRIPLE_QUOTES else 1
                contents.append((start + width, end - width))
        return [(start, end) for start, end in contents if start < end]

    @cached_property
    def brackets(self) -> list[Brackets]:
        """All pairs of brackets, in the order of the closing ones."""
        pairs, are_open = list[Brackets](), list[list[int]]()
        for match in _BRACKET.finditer(self.data):
            start = match.start()
            byte = self.data[start]
            if byte in b"([{":
                are_open.append([start, start + 1])
            elif not are_open:
                continue
            elif byte == _COMMA:
                are_open[-1] += (start, start + 1)
            elif byte in b")]}":
                opening, *cuts = are_open.pop()
                cuts.append(start)
                items = (self.stripped(*cut) for cut in zip(cuts[::2], cuts[1::2], strict=True))
                pairs.append(Brackets(opening, tuple((first, last) for first, last in items if first < last)))
        return pairs

    def names_in(self, start: int, end: int) -> list[Range]:
        """The names in a part of the text that are neither keywords nor `self` or `cls`."""
        spans = (match.span() for match in _NAME.finditer(self.data, start, end))
        return [span for span in spans if self.data[slice(*span)] not in _KEYWORDS]

    def is_in_literal(self, position: int) -> bool:
        """Whether a position is in a string literal or in a comment."""
        place = bisect_right(self.literals, (position, len(self.data))) - 1
        return place >= 0 and position < self.literals[place][1]

    def stripped(self, start: int, end: int) -> Range:
        """The same range without white space at its ends."""
        text = self.data[start:end]
        return end - len(text.lstrip()), start + len(text.rstrip())

    def line_of(self, position: int) -> int:
        """The number of the line that a position is in; the end of the text is in the last line."""
        return min(bisect_right(self.starts, position) - 1, len(self.lines) - 1)

    def line_content(self, line: int) -> Range:
        """The range of a line without its indentation, its line end and the white space before that."""
        return self.stripped(self.starts[line], self.starts[line + 1])

    def indent_of(self, line: int) -> int:
        """The number of bytes before a line's first character."""
        return len(self.lines[line]) - len(self.lines[line].lstrip())


def one_of(choices: Sequence[T], rng: np.random.Generator) -> T:
    """Draw one of the choices, of which there is at least one."""
    return choices[int(rng.integers(len(choices)))]
