"""Holes in a Python file where its syntax is: a line that opens a block, an argument of a call, a name.

Files that do not parse have none. As in holes.py, at most one hole is drawn for every 40 lines, and 10 at
most, so that long files do not dominate a benchmark.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from random import Random

from incoder.editing.python_source import PythonSource
from incoder.errors import IncoderError
from incoder.evaluation.building.holes import (
    LINES_PER_HOLE,
    MAX_CHARACTERS,
    MAX_HOLES,
    BuildRows,
    Row,
    row_of,
)
from incoder.evaluation.building.source_files import SourceText

_MIN_CHARACTERS = 3  # of an argument or a name

Range = tuple[int, int]
Places = Callable[[PythonSource], Iterable[Range]]


def block_openers(source: PythonSource) -> Iterator[Range]:
    """Yield each line that ends with the colon of a block whose first statement is in a later line."""
    for node in ast.walk(source.tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module) or not isinstance(body, list):
            continue
        first = body[0]
        if isinstance(node, ast.stmt | ast.excepthandler | ast.match_case) and first.lineno > 1:
            line = first.lineno - 1
            decorators = getattr(first, "decorator_list", ())
            line = min([line, *(decorator.lineno - 1 for decorator in decorators)])
            start, end = source.lines.start(line), source.lines.start(line + 1)
            if source.text[start:end].rstrip().endswith(":") and source.text[start:end].endswith("\n"):
                yield start, end


def arguments(source: PythonSource) -> Iterator[Range]:
    """Yield each argument of a call that is on one line; of a keyword argument, its value."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            for value in (*node.args, *(keyword.value for keyword in node.keywords)):
                if value.lineno == value.end_lineno:
                    yield source.start(value), source.end(value)


def names(source: PythonSource) -> Iterator[Range]:
    """Yield each name of a variable, wherever it is read or bound."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name):
            yield source.start(node), source.end(node)


def _builder(places: Places) -> BuildRows:
    def rows(source: SourceText, random: Random) -> list[Row]:
        if source.language != "Python":
            return []
        try:
            found = sorted(set(places(PythonSource(source.text))))
        except IncoderError:
            return []
        sizes = range(_MIN_CHARACTERS, MAX_CHARACTERS + 1)
        found = [(start, end) for start, end in found if len(source.text[start:end].strip()) in sizes]
        num_lines = source.text.count("\n")
        drawn = random.sample(found, min(MAX_HOLES, 1 + num_lines // LINES_PER_HOLE, len(found)))
        return [_row(source, start, end) for start, end in sorted(drawn)]

    return rows


def _row(source: SourceText, start: int, end: int) -> Row:
    """The row of a hole, with its column in the id, because a line may have several."""
    row = row_of(source, start, end)
    column = start - source.text.rfind("\n", 0, start)
    return {**row, "task_id": f"{row['task_id']}:{column}"}


PYTHON_FILE_BUILDERS: dict[str, BuildRows] = {
    "block-opener": _builder(block_openers),
    "argument": _builder(arguments),
    "name": _builder(names),
}
