"""Python's own parser on the lines around a hole, so that a long file is not parsed for every candidate.

A window begins and ends between statements, which indentation shows except in brackets and strings. Empty
blocks with the same indentation replace those that enclose it. So it parses exactly if the file parses, given
that the rest of the file does. If a window was cut in a wrong place, no candidate parses in it, and a larger
one decides.
"""

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice, takewhile
from typing import NamedTuple

from incoder.inference.syntax_errors.filled_text import FilledText

WINDOWS = (8, 30, 120)  # lines on either side of a hole
_MAX_LENGTH = 1 << 16  # characters; parsing more takes too long

_BYTE_ORDER_MARK = "\ufeff"
_INDENTATION = re.compile(r"[ \t\f]*")
_CONTINUES = re.compile(r"(?:else|elif|except|finally)\b|[)\]}]")
_MAY_HAVE_ELSE = re.compile(r"(?:(?:if|elif|else|for|while|try|except|finally)\b|async\s+for\b)")
_QUOTES = ('"""', "'''")
_UNLIMITED = 1 << 30
_MAX_WIDTH = 200


class _Line(NamedTuple):
    """A line with code: its offset, the width of its indentation, and where its code begins."""

    offset: int
    width: int
    code: int


class Extent(NamedTuple):
    """The part of a text that is a window, and the empty blocks that replace those around it."""

    start: int
    end: int
    blocks: str


class _Beginning(NamedTuple):
    """Where a window begins, the blocks that replace those around it, and its least indentation."""

    offset: int
    blocks: str
    width: int


def parsing(texts: Sequence[FilledText]) -> list[bool] | None:
    """Return for each text whether it parses around every hole; None if none of them does.

    The texts have the same parts around their infills. None says nothing about the infills: the text around
    them may be broken, or in another language.

    >>> parsing([FilledText(("x = ", "\\n"), (infill,)) for infill in ("1", "1)")])
    [True, False]
    """
    found = [True] * len(texts)
    for hole in range(len(texts[0].infills)):
        at_hole = _parsing_at(texts, hole)
        if not any(at_hole):
            return None
        found = [one and other for one, other in zip(found, at_hole, strict=True)]
    return found


def parses(text: str) -> bool:
    """Whether a text is a Python module.

    >>> parses("x = 1"), parses("x =")
    (True, False)
    """
    readable = text.encode("utf-8", "replace").decode()  # bytes that are no UTF-8 are lone surrogates here
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about strings such as "\d"
            ast.parse(readable.removeprefix(_BYTE_ORDER_MARK))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def window(text: FilledText, hole: int, num_lines: int) -> str | None:
    """Return a module of about this many lines on either side of a hole; None if it cannot end there.

    >>> lines = "".join(f"x{number} = {number}\\n" for number in range(5))
    >>> window(FilledText((lines, lines), ("y = 1\\n",)), 0, num_lines=1)
    'x4 = 4\\ny = 1\\nx0 = 0\\n'
    """
    found = extent(text, hole, num_lines)
    return None if found is None else found.blocks + text.text[found.start : found.end]


def extent(text: FilledText, hole: int, num_lines: int) -> Extent | None:
    """Return which part of the text `window` has; None if it cannot end there.

    >>> extent(FilledText(("x = 1\\n", ""), ("y = 1\\n",)), 0, num_lines=1)
    Extent(start=0, end=12, blocks='')
    """
    start, end = text.spans[hole]
    before, after = text.text[:start], text.text[end:]
    beginning = _beginning(before, num_lines)
    if num_lines < WINDOWS[-1] and _leaves_block(text.text, start, end, beginning.width):
        return None  # more of what follows has to show whether it may
    length = _length(after, num_lines, beginning.width)
    if length is None or end + length - beginning.offset > _MAX_LENGTH:
        return None
    return Extent(beginning.offset, end + length, beginning.blocks)


def _parsing_at(texts: Sequence[FilledText], hole: int) -> list[bool]:
    found = [False] * len(texts)
    for num_lines in WINDOWS:
        for index, text in enumerate(texts):
            module = None if found[index] else window(text, hole, num_lines)
            found[index] = found[index] or (module is not None and parses(module))
        if all(found):
            break
    return found


def _beginning(before: str, num_lines: int) -> _Beginning:
    """Return the earliest of the last lines that is indented no more than any line after it.

    So it begins a statement, unless it is in a string or in brackets.
    """
    end = len(before)
    for quotes in _QUOTES:
        if before.count(quotes) % 2:  # the hole is in such a string
            end = min(end, before.rfind(quotes))
    least, chosen = _UNLIMITED, _Line(before.rfind("\n", 0, end) + 1, _UNLIMITED, 0)
    for line in islice(_lines_back(before, end), num_lines):
        if line.width <= least:
            least = line.width
            if not _CONTINUES.match(before, line.code):
                chosen = line
    return _Beginning(chosen.offset, _enclosing_blocks(before[: chosen.offset], chosen.width), chosen.width)


def _leaves_block(text: str, start: int, end: int, width: int) -> bool:
    """Whether an infill has a line that is indented less than the block that a window begins in."""
    lines = takewhile(lambda line: line.offset + line.width >= start, _lines_back(text, end))
    return any(line.width < width for line in lines)


def _enclosing_blocks(before: str, width: int) -> str:
    """Return an empty block for each that encloses a line after `before` with this indentation."""
    blocks = ""
    while width:
        pattern = _less_indented(min(width, _MAX_WIDTH))
        header = next((one for one in reversed(list(pattern.finditer(before)))), None)
        if header is None:
            break
        before, indentation = before[: header.start()], header[1]
        width = _width(indentation)
        blocks = f"{indentation}{_empty_block(header[2])}\n{blocks}"
    return blocks


def _empty_block(header: str) -> str:
    """Return a header that allows the same in its block and after it, and has the same scope."""
    if _MAY_HAVE_ELSE.match(header):
        return "if 1:"
    return "class _:" if header.startswith("class") else "def _():"


def _length(after: str, num_lines: int, width: int) -> int | None:
    """Return the length of the text after a hole up to the last statement that begins in these lines.

    It ends where the block ends that the window begins in, or before the last line that is indented no more
    than the lines before it, so that it cuts no block off right after its header.
    """
    found, least = None, width
    for number, line in enumerate(_lines_after(after)):
        if line.width < width:
            return line.offset
        if number >= num_lines:
            return found
        if line.width <= least:
            found = None if _CONTINUES.match(after, line.code) else line.offset
        least = line.width if number == 0 else min(least, line.width)
    return len(after)


def _lines_back(text: str, end: int) -> Iterator[_Line]:
    """Yield the lines that have code before `end`, the last one first; the last may be incomplete."""
    while end >= 0:
        start = text.rfind("\n", 0, end) + 1
        line = _line_at(text, start, end)
        if line is not None:
            yield line
        end = start - 1


def _lines_after(text: str) -> Iterator[_Line]:
    """Yield the lines that have code after the first line end."""
    start = text.find("\n") + 1
    while start:
        end = text.find("\n", start)
        line = _line_at(text, start, len(text) if end < 0 else end)
        if line is not None:
            yield line
        start = end + 1


def _line_at(text: str, start: int, end: int) -> _Line | None:
    """Return the line between these places; None if it is blank or a comment."""
    match = _INDENTATION.match(text, start, end)
    assert match is not None
    code = match.end()
    return None if code == end or text[code] in "#\r" else _Line(start, _width(match[0]), code)


def _width(indentation: str) -> int:
    return len(indentation.expandtabs(8)) if "\t" in indentation else len(indentation)


@cache
def _less_indented(width: int) -> re.Pattern[str]:
    """Return a pattern for lines of code that are indented less than this."""
    return re.compile(rf"^([ \t]{{0,{width - 1}}})([^\s#].{{0,20}})", re.MULTILINE)
