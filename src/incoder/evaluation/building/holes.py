"""Holes in a file of any language: a line, characters inside a line, or several lines.

For every 40 lines of a file, at most one hole is drawn at random, and 10 at most; two holes share no line.
The missing text begins and ends in lines with content: such a line has at least five characters that are not
white space, a letter or digit among them, and at most 200 characters in all.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from incoder.evaluation.building.source_files import SourceText

Row = Mapping[str, Any]
BuildRows = Callable[[SourceText, Random], list[Row]]

LINES_PER_HOLE, MAX_HOLES = 40, 10  # so that long files do not dominate a benchmark
_MIN_CHARACTERS, MAX_CHARACTERS = 5, 200
_MIN_LINES, _MAX_LINES = 2, 8
_MIN_INSIDE = 3  # characters of a hole inside a line


def single_line(source: SourceText, random: Random) -> list[Row]:
    """Draw whole lines, each with its indentation and line end."""
    lines = _lines(source.text)
    starts = _starts(lines)
    places = _drawn([number for number, line in enumerate(lines) if _has_content(line)], lines, random)
    return [row_of(source, starts[number], starts[number + 1]) for number in places]


def mid_line(source: SourceText, random: Random) -> list[Row]:
    """Draw characters inside a line, so that some of the line is left on both sides."""
    lines = _lines(source.text)
    starts, rows = _starts(lines), list[Row]()
    long_enough = [
        number
        for number, line in enumerate(lines)
        if _has_content(line) and len(line.strip()) >= _MIN_INSIDE + 2
    ]
    for number in _drawn(long_enough, lines, random):
        line = lines[number]
        first = len(line) - len(line.lstrip()) + 1
        last = len(line.rstrip()) - 1
        start = random.randint(first, last - _MIN_INSIDE)
        end = random.randint(start + _MIN_INSIDE, last)
        if line[start:end].strip():
            rows.append(row_of(source, starts[number] + start, starts[number] + end))
    return rows


def multi_line(source: SourceText, random: Random) -> list[Row]:
    """Draw two to eight consecutive lines."""
    lines = _lines(source.text)
    starts, rows, free_from = _starts(lines), list[Row](), 0
    for number in _drawn([number for number, line in enumerate(lines) if _has_content(line)], lines, random):
        end = number + random.randint(_MIN_LINES, _MAX_LINES)
        if number >= free_from and end <= len(lines) and _has_content(lines[end - 1]):
            rows.append(row_of(source, starts[number], starts[end]))
            free_from = end
    return rows


FILE_BUILDERS: dict[str, BuildRows] = {
    "single-line": single_line,
    "mid-line": mid_line,
    "multi-line": multi_line,
}


def _drawn(numbers: list[int], lines: list[str], random: Random) -> list[int]:
    num_holes = min(MAX_HOLES, 1 + len(lines) // LINES_PER_HOLE, len(numbers))
    return sorted(random.sample(numbers, num_holes))


def _has_content(line: str) -> bool:
    """Whether a line ends with a newline and has content, as the module's docstring defines it."""
    text = line.strip()
    return (
        line.endswith("\n")
        and len(line) <= MAX_CHARACTERS
        and len("".join(text.split())) >= _MIN_CHARACTERS
        and any(map(str.isalnum, text))
    )


def _lines(text: str) -> list[str]:
    """The lines, each with its newline; no other character ends a line."""
    *lines, rest = text.split("\n")
    return [*(line + "\n" for line in lines), *([rest] if rest else [])]


def _starts(lines: list[str]) -> list[int]:
    places = [0]
    for line in lines:
        places.append(places[-1] + len(line))
    return places


def row_of(source: SourceText, start: int, end: int) -> Row:
    """The row of a hole from `start` to before `end`; its id has the number of the line, counted from 1."""
    text = source.text
    line = text.count("\n", 0, start) + 1
    return {
        "task_id": f"{source.path}:{line}",
        "path": source.path,
        "language": source.language.lower(),
        "prefix": text[:start],
        "middle": text[start:end],
        "suffix": text[end:],
    }


def with_context(row: Row, num_characters: int) -> Row:
    """The row with about this many characters before the hole, and half as many after it, in whole lines."""
    prefix, suffix = row["prefix"], row["suffix"]
    start = prefix.rfind("\n", 0, max(0, len(prefix) - num_characters)) + 1
    end = suffix.find("\n", num_characters // 2) + 1 or len(suffix)
    return {**row, "prefix": prefix[start:], "suffix": suffix[:end]}
