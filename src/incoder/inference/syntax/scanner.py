"""A scanner that finds which strings, comments and brackets are open at a place in a text.

It makes one pass from left to right over bytes, by a language's marks (syntax.py). It can resume at any place
with the stack of that place, so that an infill is scanned as the continuation of its prefix. It knows no
grammar.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from incoder.inference.syntax.syntax import BRACKETS, NEWLINE, Literal, Syntax

_CLOSINGS = {closing: opening for opening, closing in BRACKETS.items()}
_FORMAT_PREFIX = re.compile(rb"(?<!\w)(?:[rR]?[fFtT]|[fFtT][rR])\Z")
_BEFORE_REGULAR_EXPRESSION = re.compile(rb"(?:[(,=:\[!&|?{};\n]|\b(?:return|typeof|case|in|of)|^)[ \t]*\Z")
_ELEMENT = re.compile(rb"<(\w+)")
CONTEXT = 64  # bytes before a mark that may decide what it means
_LONG_GAP = 1024  # bytes without a mark; a longer gap is not scanned again
_REGULAR_EXPRESSION = Literal(b"/", b"/")
_CHARACTER_CLASS = Literal(b"[", b"]")
_ATTRIBUTES = {quote: Literal(quote, quote, escapes=False, spans_lines=True) for quote in (b'"', b"'")}


@dataclass(frozen=True, eq=False, slots=True)
class Open:
    """An open construct: a `literal`, or a bracket, interpolation or tag, which `closing` ends.

    `syntax` is that of the code inside. If it `is_in_line`, it ends with its line at the latest, because it
    or something around it cannot span lines.
    """

    closing: bytes
    syntax: Syntax
    literal: Literal | None = None
    is_bracket: bool = False
    is_tag: bool = False
    is_in_line: bool = False


Stack = tuple[Open, ...]


class Mark(NamedTuple):
    """A place where something opens or closes: its bytes, and the stack after them.

    It `is_unopened` if it is a closing bracket that has nothing to close.
    """

    start: int
    end: int
    text: bytes
    stack: Stack
    is_unopened: bool = False


class Place(NamedTuple):
    """An offset up to which a text has been scanned, and the stack there, from the outside in."""

    offset: int = 0
    stack: Stack = ()


START = Place()


def scan(data: bytes, syntax: Syntax, place: Place = START, *, is_all: bool = True) -> Iterator[Mark]:
    """Yield the marks of `data` after `place`.

    Unless `is_all` is true, more data may follow: a mark at the end that more bytes could turn into another
    one is then omitted, so that the marks of a text are the first marks of every longer text.

    >>> from incoder.inference.syntax.languages import PYTHON
    >>> [mark.text for mark in scan(b'f("a")', PYTHON)]
    [b'(', b'"', b'"', b')']
    """
    stack, start = place.stack, place.offset
    while True:
        top = stack[-1] if stack else None
        code = top.syntax if top is not None else syntax
        match = _pattern(top, code).search(data, start)
        if match is None or (not is_all and match.end() == len(data) and _may_grow(top, code, match[0])):
            return
        start = match.end()
        mark = _read(data, match, top, code, stack)
        if mark is not None and (mark.is_unopened or mark.stack != stack):
            stack = mark.stack
            yield mark


def last_place(data: bytes, syntax: Syntax, place: Place = START, *, is_all: bool = True) -> Place:
    """Return the place after the last mark of `data`, or later; its stack is the one at the end of `data`.

    >>> from incoder.inference.syntax.languages import PYTHON
    >>> last_place(b'f("a', PYTHON).stack[-1].closing
    b'"'
    """
    for mark in scan(data, syntax, place, is_all=is_all):
        place = Place(mark.end, mark.stack)
    end = len(data) - CONTEXT
    if end - place.offset > _LONG_GAP:
        top = place.stack[-1] if place.stack else None
        if _pattern(top, top.syntax if top is not None else syntax).search(data, place.offset, end) is None:
            return Place(end, place.stack)
    return place


def _read(data: bytes, match: re.Match[bytes], top: Open | None, code: Syntax, stack: Stack) -> Mark | None:
    """Return the mark at a match; None if it has no meaning there."""
    start, end, text = match.start(), match.end(), match[0]
    if top is not None and top.literal is not None:
        return _read_in_literal(start, end, text, top, top.literal, stack)
    if top is not None and text == top.closing and not top.is_bracket:
        element = _element_with_other_language(data, start, top) if top.is_tag else None
        if element is None:
            return Mark(start, end, text, stack[:-1])
        return Mark(start, end, text, _opened(stack[:-1], b"</" + element, top.syntax.embedded[element]))
    if text == NEWLINE:
        return Mark(start, end, text, _at_line_end(stack))
    if top is not None and top.is_tag:
        return Mark(start, end, text, _opened(stack, text, code, _ATTRIBUTES[text]))
    if text in code.openings:
        literal = code.openings[text]
        if text in code.formatted and _FORMAT_PREFIX.search(data, max(0, start - CONTEXT), start):
            literal = code.formatted[text]
        return Mark(start, end, text, _opened(stack, literal.closing, code, literal))
    if text == b"/":
        is_operator = not _BEFORE_REGULAR_EXPRESSION.search(data, max(0, start - CONTEXT), start)
        return (
            None if is_operator else Mark(start, end, text, _opened(stack, text, code, _REGULAR_EXPRESSION))
        )
    if text in BRACKETS:
        return Mark(start, end, text, _opened(stack, BRACKETS[text], code, is_bracket=True))
    if text in _CLOSINGS:
        return _closing_bracket(start, end, text, stack)
    return Mark(start, end, text, _opened(stack, b">", code, is_tag=True)) if code.is_markup else None


def _read_in_literal(
    start: int, end: int, text: bytes, top: Open, literal: Literal, stack: Stack
) -> Mark | None:
    if text == NEWLINE and not literal.spans_lines:
        return Mark(start, end, text, _at_line_end(stack))
    if text == literal.closing:
        return Mark(start, end, text, stack[:-1])
    closing = dict(literal.interpolations).get(text)
    if closing is not None:
        return Mark(start, end, text, _opened(stack, closing, top.syntax))
    if literal is _REGULAR_EXPRESSION and text == b"[":
        return Mark(start, end, text, _opened(stack, b"]", top.syntax, _CHARACTER_CLASS))
    return None  # an escape


def _element_with_other_language(data: bytes, end: int, tag: Open) -> bytes | None:
    """Return the element whose opening tag ends at `end` if its content has another language (`<script>`)."""
    element = _ELEMENT.match(data, max(0, data.rfind(b"<", 0, end)))
    if element is None or data[end - 1 : end] == b"/":
        return None
    name = element[1].lower()
    return name if name in tag.syntax.embedded else None


def _opened(
    stack: Stack,
    closing: bytes,
    syntax: Syntax,
    literal: Literal | None = None,
    *,
    is_bracket: bool = False,
    is_tag: bool = False,
) -> Stack:
    is_in_line = bool(stack and stack[-1].is_in_line) or (literal is not None and not literal.spans_lines)
    return (*stack, _open(closing, syntax, literal, is_bracket, is_tag, is_in_line))


_open = cache(Open)  # equal constructs are one object, so that stacks compare fast


def _closing_bracket(start: int, end: int, text: bytes, stack: Stack) -> Mark:
    """Return the mark of a closing bracket: it closes the innermost one of its kind, and all inside it."""
    for depth in range(len(stack) - 1, -1, -1):
        if not stack[depth].is_bracket:
            break
        if stack[depth].closing == text:
            return Mark(start, end, text, stack[:depth])
    return Mark(start, end, text, stack, is_unopened=True)


def _at_line_end(stack: Stack) -> Stack:
    """Return the stack without literals that end with their line, and without what is open inside them."""
    return next((stack[:depth] for depth, each in enumerate(stack) if each.is_in_line), stack)


@cache
def _marks(top: Open | None, code: Syntax) -> tuple[bytes, ...]:
    """Return the marks that have a meaning while `top` is open, without escapes."""
    literal = top.literal if top is not None else None
    line_end = [NEWLINE] if top is not None and top.is_in_line else []
    if top is not None and literal is not None:
        openings = [opening for opening, _ in literal.interpolations]
        more = [literal.closing * 2] if literal.doubles else []
        more += [b"{{"] if b"{" in openings else []
        more += [b"["] if literal is _REGULAR_EXPRESSION else []
        return (literal.closing, *openings, *more, *line_end)
    if top is not None and top.is_tag:
        return (*_ATTRIBUTES, top.closing)
    ends = (top.closing,) if top is not None and not top.is_bracket else ()
    return (*code.code_marks, *ends, *line_end)


@cache
def _pattern(top: Open | None, code: Syntax) -> re.Pattern[bytes]:
    marks = sorted({*_marks(top, code)}, key=len, reverse=True)
    patterns = [re.escape(mark) for mark in marks]
    if code.is_markup and (top is None or not (top.literal or top.is_tag)):
        patterns.append(rb"<(?=/?[A-Za-z])")
    if top is not None and top.literal is not None and top.literal.escapes:
        patterns.append(rb"\\(?s:.)")
    return re.compile(b"|".join(patterns) or rb"(?!)")  # plain text has no marks


@cache
def _may_grow(top: Open | None, code: Syntax, text: bytes) -> bool:
    """Whether more bytes could turn this mark into another one."""
    return any(mark != text and mark.startswith(text) for mark in _marks(top, code))
