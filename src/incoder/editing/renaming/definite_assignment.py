"""Definite assignment: whether a variable certainly has a value wherever it is used.

Only the order of the text decides. Without a value, Python raises an `UnboundLocalError` or a `NameError`
that names the variable, and a handler may show that error.
"""

import ast
from collections.abc import Iterator

from incoder.editing.python_source import PythonSource
from incoder.editing.renaming.variables import Variable

_Range = tuple[int, int]


class DefiniteAssignment:
    """The statements of a file and the blocks around them, as ranges of the text."""

    def __init__(self, source: PythonSource) -> None:
        self._source = source
        self._statements: list[tuple[_Range, ast.stmt, _Range]] = []
        for node in ast.walk(source.tree):
            for block in _blocks(node):
                reach = (source.start(block[0]), source.end(block[-1]))
                for statement in block:
                    first = min([statement.lineno, *_decorator_lines(statement)])
                    begin = min(source.start(statement), source.lines.start(first))
                    self._statements.append(((begin, source.end(statement)), statement, reach))

    def may_be_unbound(self, variable: Variable) -> bool:
        """Whether a use of the variable may run before it has a value."""
        first, *others = variable.occurrences
        around = [
            found for found in self._statements if found[0][0] <= first.start and first.end <= found[0][1]
        ]
        if not around:
            return True
        (_, end), statement, (_, last) = min(around, key=lambda found: found[0][1] - found[0][0])
        inner = [place for place in others if place.start < end]
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            if statement.value is None or inner:
                return True
        elif isinstance(statement, ast.For | ast.AsyncFor):
            last = self._source.end(statement.body[-1])
        elif isinstance(statement, ast.Try | ast.Match):
            bodies = [_body(one) for one in ast.walk(statement)]
            ends = [self._source.end(body[-1]) for body in bodies if body]
            last = min((one for one in ends if one > first.start), default=first.end)
        elif not isinstance(
            statement,
            ast.With | ast.AsyncWith | ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef,
        ):
            return not isinstance(statement, ast.AsyncFunctionDef)
        return any(place.start >= last for place in others)


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list) and block:
            yield block


def _body(node: ast.AST) -> list[ast.stmt]:
    return node.body if isinstance(node, ast.ExceptHandler | ast.match_case) else []


def _decorator_lines(statement: ast.stmt) -> list[int]:
    return [one.lineno for one in getattr(statement, "decorator_list", ())]
