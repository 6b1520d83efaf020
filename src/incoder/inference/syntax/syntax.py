"""A language's strings, comments and blocks, as data for scanner.py and the stopping rules."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

BRACKETS = {b"(": b")", b"[": b"]", b"{": b"}"}
OPERATORS = b"=.+-*/%&|^~<@"
ENDS_WITH_OPERATOR = (b"++", b"--", b"*/", b"->", b"...")  # a line or statement may end with these
NEWLINE = b"\n"


@dataclass(frozen=True, eq=False, slots=True)
class Literal:
    """A kind of string or comment.

    Unless it `spans_lines`, a newline closes it, too. If it `escapes`, a backslash escapes the next byte; if
    it `doubles`, a doubled closing is text. `interpolations` pair each opening of code inside the literal
    (`${`) with its closing.
    """

    opening: bytes
    closing: bytes
    is_comment: bool = False
    escapes: bool = True
    spans_lines: bool = False
    doubles: bool = False
    interpolations: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, eq=False)
class Syntax:
    """The marks of one language, and the lines that belong to the block before them.

    `plain` are sequences that open nothing, such as Rust's `'"'`. `formatted` are literals that replace
    others after the letter f, as in Python. One of `block_ends` is the first word of a line that closes a
    block (`end`), one of `block_middles` of a line that continues it (`else`), and one of `block_words` of
    every line that opens a block with a colon (`if`, `else`); lines that match `label` may be indented less
    than their block. In markup (`is_markup`), strings occur only in tags, and `embedded`
    languages only in their elements.
    """

    literals: tuple[Literal, ...] = ()
    plain: tuple[bytes, ...] = ()
    formatted: Mapping[bytes, Literal] = field(default_factory=dict)
    has_regular_expressions: bool = False
    has_brackets: bool = True
    is_indented: bool = False
    block_ends: frozenset[bytes] = frozenset()
    block_middles: frozenset[bytes] = frozenset()
    block_words: frozenset[bytes] = frozenset()
    label: re.Pattern[bytes] | None = None
    embedded: Mapping[bytes, "Syntax"] = field(default_factory=dict)
    is_markup: bool = False

    @cached_property
    def openings(self) -> Mapping[bytes, Literal]:
        """The literals by their openings."""
        return {literal.opening: literal for literal in self.literals}

    @cached_property
    def code_marks(self) -> tuple[bytes, ...]:
        """All sequences that have a meaning in code."""
        brackets = [*BRACKETS, *BRACKETS.values()] if self.has_brackets else []
        regular_expression = [b"/"] if self.has_regular_expressions else []
        return (*self.openings, *self.plain, *brackets, *regular_expression)
