"""Drafts of docstrings: the position of a docstring, the model's prompt, and the infills as source text.

A draft is a range of the file and the pieces that replace it, with holes for the model.
"""

import ast
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from incoder.editing.docstrings.prose import breaks_off, tidied
from incoder.editing.docstrings.string_literals import as_literal, escaped, is_fit_for_raw, opening
from incoder.editing.docstrings.style import HOLE, Pieces, Style, sections
from incoder.editing.lines import indentation, line_end
from incoder.editing.python_source import (
    BYTE_ORDER_MARK,
    Definition,
    Function,
    Named,
    PythonSource,
    parameters,
)
from incoder.errors import IncoderError

Target = Named | None  # None is the module
_COMMENT_OR_BLANK = re.compile(r"[ \t\f]*(?P<comment>#[^\r\n]*)?(?:\r\n|\r|\n|\Z)")
# These comments count only before the docstring: PEP 263's in the first two lines, mypy's before any code.
_CODING = re.compile(r"#.*?coding[:=]")
_OF_THE_FILE = re.compile(r"#\s*type:\s*ignore")
_DEFAULT_UNIT = " " * 4


@dataclass(frozen=True, slots=True)
class Draft(ABC):
    """A range of the text to replace, and the pieces between the model's infills.

    The model sees `pieces` in place of this range. They have the file's indentation, and `\\n` as line ends.
    A string of `stop` ends each infill.
    """

    start: int
    end: int
    pieces: Pieces
    stop: tuple[str, ...]
    indent: str
    newline: str

    def parts(self, before: str, after: str) -> list[str]:
        """The parts of the prompt, from the texts `before` and `after` the range."""
        parts = [before]
        for piece in self.pieces:
            if piece is HOLE:
                parts.append("")
            else:
                parts[-1] += piece.replace("\n", self.newline)
        parts[-1] += after
        return parts

    @abstractmethod
    def written(self, infills: Sequence[str]) -> str:
        """The text that replaces the range, made from the infills.

        Raises:
            IncoderError: the infills cannot be part of the literal.
        """

    def indented(self, text: str) -> str:
        """Indent all lines of the text but the first."""
        first, *rest = text.split("\n")
        return "\n".join([first, *(self.indent + line if line.strip() else "" for line in rest)])

    def _joined(self, pieces: Pieces, words: Sequence[str]) -> str:
        remaining = iter(words)
        lines = "".join(next(remaining) if piece is HOLE else piece for piece in pieces).split("\n")
        return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True, slots=True)
class NewDocstring(Draft):
    """A new literal, between the texts `before` and `after`."""

    template: Pieces
    style: Style
    before: str
    after: str

    def written(self, infills: Sequence[str]) -> str:
        content = self._joined(self.template, [tidied(infill) for infill in infills])
        content = self.indented(content)
        if "\n" in content:
            start = f"\n{self.indent}" if self.style.starts_below else ""
            content = f"{start}{content}\n{self.indent}"
        literal = as_literal(content, self.style.quote)
        return (self.before + literal + self.after).replace("\n", self.newline)


@dataclass(frozen=True, slots=True)
class Completion(Draft):
    """More text at the end of a literal; `tail` is the white space before its closing quotes."""

    template: Pieces
    quote: str
    is_raw: bool
    is_one_line: bool
    tail: str

    def written(self, infills: Sequence[str]) -> str:
        words = [tidied(infill) for infill in infills]
        if self.template[0] is HOLE and infills[0][:1].isspace() and words[0]:
            words[0] = " " + words[0]
        content = self.indented(self._joined(self.template, words))
        if not self.is_raw:
            content = escaped(content, self.quote)
        elif not is_fit_for_raw(content, self.quote):
            raise IncoderError("cannot be written in a raw string")
        tail = f"\n{self.indent}" if self.is_one_line and "\n" in content else self.tail
        return (content + tail).replace("\n", self.newline)


def draft(source: PythonSource, target: Target, style: Style) -> Draft | None:
    """The draft that writes or completes the docstring of `target`; None if its docstring is complete.

    Raises:
        IncoderError: the docstring consists of several literals.
    """
    node = source.tree if target is None else target.node
    span = source.docstring(node)
    if span is None:
        return _new(source, target, style, _place(source, node))
    start, end = span
    line = source.text[source.lines.start(node.body[0].lineno) : start]
    if not ast.get_docstring(node):
        return _new(source, target, style, _Place(start, end, "", "", indentation(line)))
    return _completion(source, target, style, start, end, indentation(line))


@dataclass(frozen=True, slots=True)
class _Place:
    """The range for a new docstring, the texts before and after its literal, and its indentation."""

    start: int
    end: int
    before: str
    after: str
    indent: str


def _new(source: PythonSource, target: Target, style: Style, place: _Place) -> NewDocstring:
    is_inline = place.after.startswith(";")
    more = [] if is_inline else _sections(source, target, style)
    template: Pieces = [HOLE, *more]
    indent = place.indent
    opened = place.before + style.quote + (f"\n{indent}" if more and style.starts_below else "")
    closed = (f"\n{indent}" if more else "") + style.quote + place.after
    stop = (style.quote, "\n") if more or is_inline else (style.quote,)
    pieces: Pieces = [opened, *_indented(template, indent), closed]
    newline = line_end(source.text)
    return NewDocstring(
        place.start, place.end, pieces, stop, indent, newline, template, style, place.before, place.after
    )


def _completion(
    source: PythonSource, target: Target, style: Style, start: int, end: int, indent: str
) -> Completion | None:
    literal = source.text[start:end]
    opened = opening(literal)
    if opened is None:
        raise IncoderError(
            f"the docstring in line {source.lines.number(start)} consists of several literals; make it one"
        )
    is_raw, quote = opened
    content = literal[: -len(quote)]
    written = content.rstrip()
    is_line = len(quote) == 1
    more = [] if is_line else _sections(source, target, style, written)
    has_open_end = breaks_off(written.replace("\r\n", "\n"), parameter_names(target))
    if not more and not has_open_end:
        return None
    template: Pieces = [*([HOLE] if has_open_end else []), *more]
    tail = content[len(written) :]
    is_one_line = "\n" not in literal and "\r" not in literal
    shown_tail = f"\n{indent}" if more and is_one_line else tail
    stop = (quote, "\n") if more or is_line else (quote,)
    return Completion(
        start + len(written),
        end - len(quote),
        [*_indented(template, indent), shown_tail],
        stop,
        indent,
        line_end(source.text),
        template,
        quote,
        is_raw,
        is_one_line,
        tail.replace("\r\n", "\n"),
    )


def parameter_names(target: Target) -> list[str]:
    """The names of a function's parameters; empty if the target is no function."""
    if target is None or not isinstance(target.node, Function):
        return []
    return [argument.arg for argument in parameters(target)]


def _sections(source: PythonSource, target: Target, style: Style, written: str = "") -> Pieces:
    if target is None or not isinstance(target.node, Function):
        return []
    return sections(target, style.name, unit=_unit(source, target.node), written=written)


def _unit(source: PythonSource, node: Definition) -> str:
    """The unit of indentation, taken from the body of a definition: a tab in a file indented by tabs."""
    header, body = (
        indentation(source.text[source.lines.start(line) : source.lines.start(line + 1)])
        for line in (node.lineno, node.body[0].lineno)
    )
    return body.removeprefix(header) or _DEFAULT_UNIT


def _place(source: PythonSource, node: ast.Module | Definition) -> _Place:
    if isinstance(node, ast.Module):
        return _place_in_module(source)
    *_, (_, _, header_end) = source.header_tokens(node)
    header_line, first = source.lines.number(header_end - 1), node.body[0]
    if first.lineno == header_line:
        return _Place(source.start(first), source.start(first), "", "; ", "")
    # A type comment counts only as the first thing of a body (PEP 484).
    typed = [line for line in source.type_comments if header_line < line < first.lineno]
    start = source.lines.start(max([header_line, *typed]) + 1)
    line = source.lines.start(first.lineno)
    indent = indentation(source.text[line : source.lines.start(first.lineno + 1)])
    is_tight_class = isinstance(node, ast.ClassDef) and not source.text[start:].startswith(("\n", "\r"))
    return _Place(start, start, indent, "\n\n" if is_tight_class else "\n", indent)


def _place_in_module(source: PythonSource) -> _Place:
    """The position after the first block of comments and all comments that count only before a docstring."""
    text = source.text
    start = place = len(BYTE_ORDER_MARK) if text.startswith(BYTE_ORDER_MARK) else 0
    number, is_in_block = 0, True
    while place < len(text) and (line := _COMMENT_OR_BLANK.match(text, place)):
        number += 1
        comment = line["comment"]
        binds = comment and (_OF_THE_FILE.match(comment) or (number <= 2 and _CODING.match(comment)))
        is_in_block = comment is not None and (is_in_block or bool(binds))
        place = line.end()
        if is_in_block:
            start = place
    before = "" if start == 0 or text[:start].endswith(("\n", "\r", BYTE_ORDER_MARK)) else "\n"
    is_followed = bool(text[start:].strip()) and not text[start:].startswith(("\n", "\r"))
    return _Place(start, start, before, "\n\n" if is_followed else "\n", "")


def _indented(pieces: Pieces, indent: str) -> Pieces:
    """Indent all lines of the pieces but the first; a hole may begin an indented line."""
    text = "\0".join("" if piece is HOLE else piece for piece in pieces)
    lines = text.split("\n")
    shown = [lines[0], *(indent + line if line.strip() else line for line in lines[1:])]
    texts = "\n".join(shown).split("\0")
    return [HOLE if piece is HOLE else text for piece, text in zip(pieces, texts, strict=True)]
