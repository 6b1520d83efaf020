"""A language's strings, comments and blocks, as data by which scanner.py reads texts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

BRACKETS = {b"(": b")", b"[": b"]", b"{": b"}"}
NEWLINE = b"\n"


@dataclass(frozen=True, eq=False, slots=True)
class Literal:
    """A kind of string or comment.

    Without `spans_lines` a line end closes it, too. A backslash takes the next byte along where it `escapes`,
    and a doubled closing is text where it `doubles`. `interpolations` map what opens code inside the literal
    (`${`) to what closes that code.
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

    `plain` are marks that stand for themselves, such as Rust's `'"'`. `formatted` are literals that stand in
    for others after the letter f, as in Python. A `block_end` is the first word of a line that closes a block
    (`end`), a `block_middle` one that goes on with it (`else`); lines that match `label` may be indented less
    than their block. In `markup`, strings are only in tags, and `embedded` languages only in their elements.
    """

    literals: tuple[Literal, ...] = ()
    plain: tuple[bytes, ...] = ()
    formatted: Mapping[bytes, Literal] = field(default_factory=dict)
    has_regular_expressions: bool = False
    has_brackets: bool = True
    is_indented: bool = False
    block_ends: frozenset[bytes] = frozenset()
    block_middles: frozenset[bytes] = frozenset()
    label: re.Pattern[bytes] | None = None
    embedded: Mapping[bytes, "Syntax"] = field(default_factory=dict)
    is_markup: bool = False

    @cached_property
    def openings(self) -> Mapping[bytes, Literal]:
        """The literals by what opens them."""
        return {literal.opening: literal for literal in self.literals}

    @cached_property
    def code_marks(self) -> tuple[bytes, ...]:
        """All that means something in code."""
        brackets = [*BRACKETS, *BRACKETS.values()] if self.has_brackets else []
        regular_expression = [b"/"] if self.has_regular_expressions else []
        return (*self.openings, *self.plain, *brackets, *regular_expression)
