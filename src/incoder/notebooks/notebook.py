"""The cells of a Jupyter notebook in its JSON text, and the text with parts of their sources replaced.

A replacement changes only the characters of the source that it replaces: outputs, metadata, other cells,
indentation, the order of keys and the way of writing characters stay to the byte. Knows no holes.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from json import dumps
from typing import Any, NamedTuple

from incoder.errors import IncoderError
from incoder.notebooks.json_reader import JsonReader, string_offset

_BYTE_ORDER_MARK = "\ufeff"
_FORMAT = 4
_KINDS = ("code", "markdown", "raw")
_NEEDED = ("cells", "nbformat", "cell_type", "source")  # names that may occur only once in their object
_MAX_SHOWN = 80  # characters of a wrong value
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")  # bytes that were decoded with surrogateescape
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAYBE_ESCAPED = re.compile(r"\\u(?!00[0-7])")  # unless the backslash is escaped itself
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_UPGRADE = "`jupyter nbconvert --to notebook --nbformat 4 --inplace FILE` converts it"


class Literal(NamedTuple):
    """A JSON string: its span with the quotes, and the offset of its first character in its cell's source."""

    start: int
    end: int
    place: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's `kind` (code, markdown or raw) and its source.

    `literals` are the JSON strings of the source: one or, if it `is_list`, one for each line. The text
    `separator` is between the strings of a list.
    """

    kind: str
    source: str
    literals: tuple[Literal, ...] = ()
    is_list: bool = False
    separator: str = ""


class Replacement(NamedTuple):
    """The characters from `start` to `end` of the source of the cell with this index, and the new text."""

    cell: int
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Notebook:
    """A notebook in nbformat 4.

    >>> cells = '[{"cell_type": "code", "source": ["x = ?"]}]'
    >>> notebook = Notebook.parse('{"nbformat": 4, "metadata": {}, "cells": ' + cells + "}")
    >>> notebook.replaced([Replacement(cell=0, start=4, end=5, text="é")]).partition("source")[2]
    '": ["x = é"]}]}'
    """

    text: str
    cells: tuple[Cell, ...]
    metadata: Any

    @classmethod
    def parse(cls, text: str) -> "Notebook":
        """Read the JSON of a notebook.

        Raises:
            IncoderError: it is not JSON in UTF-8, is another format, or has a cell without a source.
        """
        if wrong := _NOT_UTF_8.search(text):
            line = text.count("\n", 0, wrong.start()) + 1
            raise IncoderError(f"line {line} has a byte that is not UTF-8, which Jupyter cannot read")
        reader = JsonReader(text, offset=int(text.startswith(_BYTE_ORDER_MARK)))
        cells: tuple[Cell, ...] | None = None
        metadata, version = None, None
        for name in _named_once(reader):
            if name == "cells":
                cells = tuple(_cell(reader, index + 1) for index in reader.items())
            elif name == "nbformat":
                version = repr(reader.value()) if reader.next_character() == '"' else reader.value()
            elif name == "metadata":
                metadata = reader.value()
            else:
                reader.value()
        reader.end()
        _check_format(version, cells)
        return cls(text, cells or (), metadata)

    def replaced(self, replacements: Sequence[Replacement]) -> str:
        """Return the text with these parts of sources replaced; they are in order and do not overlap.

        Half surrogate pairs in a new text, which Jupyter cannot save, become U+FFFD.
        """
        pieces, end = [], 0
        for one in replacements:
            cell = self.cells[one.cell]
            start, new_end, is_last = _raw_span(self.text, cell, one.start, one.end)
            pieces += [self.text[end:start], self._literal(cell, one.text, is_last)]
            end = new_end
        return "".join([*pieces, self.text[end:]])

    def _literal(self, cell: Cell, text: str, is_last: bool) -> str:
        """Return the text as the inside of a JSON string; in a list, each of its lines is a string."""
        written = _SURROGATE.sub("\ufffd", text)
        lines = _LINE.findall(written) if cell.is_list else [written]
        if cell.is_list and written.endswith("\n") and not is_last:
            lines.append("")
        between = f'"{cell.separator}"'
        return between.join(dumps(line, ensure_ascii=self._escapes)[1:-1] for line in lines)

    @cached_property
    def _escapes(self) -> bool:
        """Whether the file writes characters outside ASCII as escapes; Jupyter itself does not."""
        return self.text.isascii() and any(
            _num_backslashes(self.text, match.start()) % 2 == 0
            for match in _MAYBE_ESCAPED.finditer(self.text)
        )


def _cell(reader: JsonReader, number: int) -> Cell:
    """Read a cell.

    Raises:
        IncoderError: it is not an object with a type and a source.
    """
    if reader.next_character() != "{":
        raise reader.error(f"cell {number} must be an object")
    kind, cell = None, None
    for name in _named_once(reader):
        if name == "source":
            cell = _source(reader, number)
        elif name == "cell_type":
            kind = reader.value()
        else:
            reader.value()
    if kind not in _KINDS:
        shown = repr(kind)[:_MAX_SHOWN]
        raise IncoderError(f"cell {number}: its cell_type must be one of {', '.join(_KINDS)}, got {shown}")
    if cell is None:
        raise IncoderError(f"cell {number} has no source")
    return replace(cell, kind=kind)


def _source(reader: JsonReader, number: int) -> Cell:
    """Read a source, a string or a list of strings, as a cell that has no kind yet."""
    if reader.next_character() == '"':
        start = reader.offset
        return Cell("", reader.value(), (Literal(start, reader.offset, 0),))
    if reader.next_character() != "[":
        raise reader.error(f"the source of cell {number} must be a string or a list of strings")
    opening, place = reader.offset + 1, 0
    texts: list[str] = []
    literals: list[Literal] = []
    for _ in reader.items():
        if reader.next_character() != '"':
            raise reader.error(f"the source of cell {number} must be a list of strings")
        start = reader.offset
        texts.append(reader.value())
        literals.append(Literal(start, reader.offset, place))
        place += len(texts[-1])
    separator = ","
    if len(literals) > 1:
        separator = reader.text[literals[0].end : literals[1].start]
    elif literals:
        separator += reader.text[opening : literals[0].start]
    return Cell("", "".join(texts), tuple(literals), is_list=True, separator=separator)


def _named_once(reader: JsonReader) -> Iterator[str]:
    """Yield the names of an object's members; a name that decides what is edited may not occur twice."""
    found = set()
    for name in reader.members():
        if name in found:
            raise reader.error(f"there is a second {name!r} in the same object; remove one of them")
        if name in _NEEDED:
            found.add(name)
        yield name


def _check_format(version: Any, cells: tuple[Cell, ...] | None) -> None:
    if version is None:
        raise IncoderError("it has no nbformat, so it is not a notebook")
    if version in ("1", "2", "3"):
        raise IncoderError(f"it is in nbformat {version}, and only {_FORMAT} is supported; {_UPGRADE}")
    if version != str(_FORMAT):
        raise IncoderError(f"nbformat must be {_FORMAT}, got {version}")
    if cells is None:
        raise IncoderError("it has no cells, so it is not a notebook")


def _raw_span(text: str, cell: Cell, start: int, end: int) -> tuple[int, int, bool]:
    """Return where a part of the source is in the JSON text, and whether it ends with its string."""
    first = cell.literals[bisect_right(cell.literals, start, key=_place) - 1]
    index = bisect_left(cell.literals, end, key=_place)
    last = cell.literals[index - 1]
    string_end = cell.literals[index].place if index < len(cell.literals) else len(cell.source)
    return _offset(text, first, start), _offset(text, last, end), end == string_end


def _offset(text: str, literal: Literal, place: int) -> int:
    return string_offset(text, literal.start, literal.end, place - literal.place)


def _place(literal: Literal) -> int:
    return literal.place


def _num_backslashes(text: str, end: int) -> int:
    start = end
    while text[start - 1] == "\\":
        start -= 1
    return end - start
