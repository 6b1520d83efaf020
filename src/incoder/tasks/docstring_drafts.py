"""Where one docstring goes and how it is put there: what the model is shown, and its words as source text.

A draft is a range of the file and the pieces that come to stand there, with holes for the model.
"""

import ast
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from incoder.errors import IncoderError
from incoder.tasks.docstring_style import HOLE, Pieces, Style, sections
from incoder.tasks.lines import indentation, line_end
from incoder.tasks.python_source import BYTE_ORDER_MARK, Definition, Function, PythonSource
from incoder.tasks.string_literals import as_literal, escaped, is_fit_for_raw, opening

SENTENCE_END = (".", "!", "?", ":", "…")
_OPENED_AGAIN = re.compile(r"""^["']{2,3}(?=\s)""")  # models that do not see that the literal is open
_LEADING_COMMENTS = re.compile(rf"{BYTE_ORDER_MARK}?(?:#[^\r\n]*(?:\r\n|\r|\n|$))*")


@dataclass(frozen=True, slots=True)
class Draft(ABC):
    """The range of the text that is written anew, and the pieces between which the model writes.

    `pieces` are what the model is shown there, in the file's indentation and with `\\n` as line ends. `stop`
    ends each of its fills.
    """

    start: int
    end: int
    pieces: Pieces
    stop: tuple[str, ...]
    indent: str
    newline: str

    def parts(self, before: str, behind: str) -> list[str]:
        """The text with its holes, between what stands before and behind the range."""
        parts = [before]
        for piece in self.pieces:
            if piece is HOLE:
                parts.append("")
            else:
                parts[-1] += piece.replace("\n", self.newline)
        parts[-1] += behind
        return parts

    def words(self, infills: Sequence[str]) -> list[str]:
        """What the model wrote, without the blanks around and with lines that are not indented."""
        plain = [infill.replace("\r\n", "\n").replace("\r", "\n") for infill in infills]
        return [inspect.cleandoc(_OPENED_AGAIN.sub("", infill)).strip() for infill in plain]

    @abstractmethod
    def written(self, infills: Sequence[str]) -> str:
        """What is to stand in the range.

        Raises:
            IncoderError: the words cannot stand there.
        """

    def indented(self, text: str) -> str:
        """The text with all its lines but the first indented."""
        first, *rest = text.split("\n")
        return "\n".join([first, *(self.indent + line if line.strip() else "" for line in rest)])

    def _joined(self, pieces: Pieces, words: Sequence[str]) -> str:
        remaining = iter(words)
        lines = "".join(next(remaining) if piece is HOLE else piece for piece in pieces).split("\n")
        return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True, slots=True)
class NewDocstring(Draft):
    """A whole literal: `before` stands in front of it, `behind` after it."""

    template: Pieces
    style: Style
    before: str
    behind: str

    def written(self, infills: Sequence[str]) -> str:
        content = self._joined(self.template, self.words(infills))
        content = self.indented(content)
        if "\n" in content:
            start = f"\n{self.indent}" if self.style.starts_below else ""
            content = f"{start}{content}\n{self.indent}"
        literal = as_literal(content, self.style.quote)
        return (self.before + literal + self.behind).replace("\n", self.newline)


@dataclass(frozen=True, slots=True)
class Completion(Draft):
    """More text at the end of a literal of such quotes; `tail` are the blanks before the closing ones."""

    template: Pieces
    quote: str
    is_raw: bool
    is_one_line: bool
    tail: str

    def written(self, infills: Sequence[str]) -> str:
        words = self.words(infills)
        if self.template[0] is HOLE and infills[0][:1].isspace() and words[0]:
            words[0] = " " + words[0]
        content = self.indented(self._joined(self.template, words))
        if not self.is_raw:
            content = escaped(content, self.quote)
        elif not is_fit_for_raw(content, self.quote):
            raise IncoderError("cannot stand in a raw string")
        tail = f"\n{self.indent}" if self.is_one_line and "\n" in content else self.tail
        return (content + tail).replace("\n", self.newline)


def draft(source: PythonSource, node: ast.Module | Definition, style: Style) -> Draft:
    """How the docstring of `node` is written or completed.

    Raises:
        IncoderError: it is made of several literals.
    """
    first = node.body[0] if node.body else None
    if ast.get_docstring(node, clean=False) is None or first is None:
        return _new(source, node, style, *_place(source, node))
    start, end = source.start(first), source.end(first)
    indent = indentation(source.text[source.lines.start(first.lineno) : start])
    if not ast.get_docstring(node):
        return _new(source, node, style, start, end, "", "", indent)
    return _completion(source, node, style, start, end, indent)


def _new(
    source: PythonSource,
    node: ast.Module | Definition,
    style: Style,
    start: int,
    end: int,
    before: str,
    behind: str,
    indent: str,
) -> NewDocstring:
    is_inline = behind.startswith(";")
    more = sections(node, style.name) if isinstance(node, Function) and not is_inline else []
    template: Pieces = [HOLE, *more]
    opened = before + style.quote + (f"\n{indent}" if more and style.starts_below else "")
    closed = (f"\n{indent}" if more else "") + style.quote + behind
    stop = (style.quote, "\n") if more or is_inline else (style.quote,)
    pieces: Pieces = [opened, *_indented(template, indent), closed]
    newline = line_end(source.text)
    return NewDocstring(start, end, pieces, stop, indent, newline, template, style, before, behind)


def _completion(
    source: PythonSource, node: ast.Module | Definition, style: Style, start: int, end: int, indent: str
) -> Completion:
    literal = source.text[start:end]
    opened = opening(literal)
    if opened is None:
        raise IncoderError(
            f"the docstring in line {source.lines.number(start)} is made of several literals; make it one"
        )
    is_raw, quote = opened
    content = literal[: -len(quote)]
    written = content.rstrip()
    is_line = len(quote) == 1
    more = sections(node, style.name, written) if isinstance(node, Function) and not is_line else []
    has_open_end = not written.endswith(SENTENCE_END)
    template: Pieces = [*([HOLE] if has_open_end or not more else []), *more]
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


def _place(source: PythonSource, node: ast.Module | Definition) -> tuple[int, int, str, str, str]:
    """Start and end of the range for a new docstring, what goes before and behind it, the indentation."""
    if isinstance(node, ast.Module):
        match = _LEADING_COMMENTS.match(source.text)
        assert match is not None
        before = "" if match[0].endswith(("\n", "\r")) or not match[0].strip(BYTE_ORDER_MARK) else "\n"
        is_alone = not source.text[match.end() :].strip()
        has_gap = source.text[match.end() :].startswith(("\n", "\r"))
        return match.end(), match.end(), before, "\n" if is_alone or has_gap else "\n\n", ""
    *_, (_, _, header_end) = source.header_tokens(node)
    header_line, first = source.lines.number(header_end - 1), node.body[0]
    if first.lineno == header_line:
        return source.start(first), source.start(first), "", "; ", ""
    start = source.lines.start(header_line + 1)
    line = source.lines.start(first.lineno)
    indent = indentation(source.text[line : source.lines.start(first.lineno + 1)])
    is_tight_class = isinstance(node, ast.ClassDef) and not source.text[start:].startswith(("\n", "\r"))
    return start, start, indent, "\n\n" if is_tight_class else "\n", indent


def _indented(pieces: Pieces, indent: str) -> Pieces:
    """The pieces with all lines but the first indented; a hole may begin an indented line."""
    text = "\0".join("" if piece is HOLE else piece for piece in pieces)
    lines = text.split("\n")
    shown = [lines[0], *(indent + line if line.strip() else line for line in lines[1:])]
    texts = "\n".join(shown).split("\0")
    return [HOLE if piece is HOLE else text for piece, text in zip(pieces, texts, strict=True)]
