"""Imports for annotations: the position in the file and the text of each."""

import ast
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import takewhile

from incoder.editing.edits import Edit
from incoder.editing.lines import line_end
from incoder.editing.python_source import Definition, PythonSource

Import = ast.Import | ast.ImportFrom


def import_edits(source: PythonSource, wanted: Mapping[str, Iterable[str]]) -> list[Edit]:
    """The edits that import these names of each module: into an existing import, else as a new line.

    >>> from incoder.editing.edits import apply_edits
    >>> text = "import os\\n\\nprint(os)\\n"
    >>> print(apply_edits(text, import_edits(PythonSource(text), {"typing": ["Any"]})))
    import os
    from typing import Any
    <BLANKLINE>
    print(os)
    <BLANKLINE>
    """
    edits: list[Edit] = []
    new: dict[int, tuple[Edit, str]] = {}  # by place; imports at one place are one block
    for module, names in sorted(wanted.items()):
        statement = _statement_from(source, module)
        if statement is not None:
            edits += [_added(source, statement, name) for name in names]
            continue
        line = f"from {module} import {', '.join(names)}"
        edit = _new_line(source, module, line)
        if edit.start in new:
            other, lines = new[edit.start]
            line = lines + line_end(source.text) + line
            edit = replace(other, text=other.text.replace(lines, line))
        new[edit.start] = edit, line
    return [*edits, *(edit for edit, _ in new.values())]


def _statement_from(source: PythonSource, module: str) -> ast.ImportFrom | None:
    return next(
        (
            node
            for node in source.tree.body
            if isinstance(node, ast.ImportFrom)
            and (node.module, node.level) == (module, 0)
            and node.names[0].name != "*"
        ),
        None,
    )


def _added(source: PythonSource, statement: ast.ImportFrom, name: str) -> Edit:
    """Add a name to an import: in alphabetical order if the names are in that order, else at the end."""
    text, place = source.text, source.place
    names = [alias.name for alias in statement.names]
    first = statement.names[0]
    is_one_a_line = len({alias.lineno for alias in statement.names}) == len(names) > 1
    line = source.lines.start(first.lineno)
    gap = line_end(text) + text[line : place(first.lineno, first.col_offset)] if is_one_a_line else " "
    if gap.strip():  # the first name is on the line of the opening parenthesis
        gap = " "
    if names == sorted(names):
        after = next((alias for alias in statement.names if alias.name > name), None)
        if after is not None:
            start = place(after.lineno, after.col_offset)
            return Edit(start, start, f"{name},{gap}")
    last = statement.names[-1]
    assert last.end_lineno is not None
    assert last.end_col_offset is not None
    end = place(last.end_lineno, last.end_col_offset)
    return Edit(end, end, f",{gap}{name}")


def _new_line(source: PythonSource, module: str, line: str) -> Edit:
    """Insert a line among the imports of the standard library, else before other imports, else at the top."""
    body, newline = list(source.tree.body), line_end(source.text)
    head = []
    if ast.get_docstring(source.tree, clean=False) is not None:
        head.append(body.pop(0))
    while body and isinstance(body[0], ast.ImportFrom) and body[0].module == "__future__":
        head.append(body.pop(0))
    imports = list(takewhile(lambda node: isinstance(node, Import), body))
    block = _first_block(imports)
    if block and all(_module(node).partition(".")[0] in sys.stdlib_module_names for node in block):
        before = [node for node in block if _order(node) <= (True, module)]
        if before:
            return _after(source, before[-1], line + newline)
        start = source.lines.start(block[0].lineno)
        return Edit(start, start, line + newline)
    if imports:
        start = source.lines.start(imports[0].lineno)
        return Edit(start, start, line + 2 * newline)
    if head:
        gap = "" if re.match(r"\s*\n\s*\n|\s*\Z", source.text[source.end(head[-1]) :]) else newline
        return _after(source, head[-1], newline + line + newline + gap)
    start = source.lines.start(body[0].lineno) if body else len(source.text)
    if body and isinstance(body[0], Definition):
        start = source.lines.start(
            min([body[0].lineno, *(decorator.lineno for decorator in body[0].decorator_list)])
        )
    mark = 1 if start == 0 and source.text.startswith("\ufeff") else 0
    return Edit(start + mark, start + mark, line + 2 * newline)


def _first_block(imports: list[ast.stmt]) -> list[ast.stmt]:
    """The first imports, up to a blank line."""
    block: list[ast.stmt] = []
    for node in imports:
        if block and node.lineno > (block[-1].end_lineno or 0) + 1:
            break
        block.append(node)
    return block


def _after(source: PythonSource, node: ast.stmt, new: str) -> Edit:
    """An insertion at the start of the line after a statement."""
    start = source.lines.start((node.end_lineno or node.lineno) + 1)
    is_ended = source.text[:start].endswith(("\n", "\r"))
    return Edit(start, start, new if is_ended else line_end(source.text) + new)


def _module(node: ast.stmt) -> str:
    if isinstance(node, ast.ImportFrom):
        return "." * node.level + (node.module or "")
    assert isinstance(node, ast.Import)
    return node.names[0].name


def _order(node: ast.stmt) -> tuple[bool, str]:
    return isinstance(node, ast.ImportFrom), _module(node)
