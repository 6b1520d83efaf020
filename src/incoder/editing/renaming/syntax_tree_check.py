"""A check that a renaming changed nothing in the syntax tree but the intended identifiers.

symbol_table_check.py checks that every name resolves as before, but not attributes, keywords and strings.
Here the two trees are compared, and the first difference that was not intended is reported.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

# The fields of the tree that are names of variables.
_NAMES = {
    ("Name", "id"),
    ("arg", "arg"),
    ("FunctionDef", "name"),
    ("AsyncFunctionDef", "name"),
    ("ClassDef", "name"),
    ("alias", "asname"),
    ("ExceptHandler", "name"),
    ("MatchAs", "name"),
    ("MatchStar", "name"),
    ("MatchMapping", "rest"),
    ("Global", "names"),
    ("Nonlocal", "names"),
    ("TypeVar", "name"),
    ("ParamSpec", "name"),
    ("TypeVarTuple", "name"),
}


@dataclass(frozen=True, slots=True)
class _Difference:
    line: int
    place: tuple[str, str]  # type of node and field
    before: object
    after: object


def unintended_change(
    before: ast.Module, after: ast.Module, old: str, new: str, *, num_keywords: int, string_lines: set[int]
) -> str | None:
    """Describe the first change other than the name of a variable, None if there is none.

    `num_keywords` keyword arguments may change, and so may the strings that begin in `string_lines`.
    """
    for difference in _differences(before, after):
        is_renamed = (difference.before, difference.after) == (old, new)
        if difference.place in _NAMES and is_renamed:
            continue
        if difference.place == ("keyword", "arg") and is_renamed and num_keywords:
            num_keywords -= 1
            continue
        if difference.place == ("Constant", "value") and difference.line in string_lines:
            continue
        return f"it would change more than the variable (line {difference.line})"
    return None


def _differences(before: ast.AST, after: ast.AST) -> Iterator[_Difference]:
    waiting: list[tuple[ast.AST, ast.AST, int]] = [(before, after, 1)]
    while waiting:  # not by recursion: expressions may be nested deeper than Python's stack
        one, other, line = waiting.pop()
        line = getattr(one, "lineno", line)
        kind = type(one).__name__
        if type(one) is not type(other):
            yield _Difference(line, (kind, ""), one, other)
            continue
        for field in one._fields:
            ones, others = _values(one, field), _values(other, field)
            if len(ones) != len(others):
                yield _Difference(line, (kind, field), ones, others)
                continue
            for left, right in zip(ones, others, strict=True):
                if isinstance(left, ast.AST) and isinstance(right, ast.AST):
                    waiting.append((left, right, line))
                elif left != right or type(left) is not type(right):
                    yield _Difference(line, (kind, field), left, right)


def _values(node: ast.AST, field: str) -> list[object]:
    value = getattr(node, field, None)
    return value if isinstance(value, list) else [value]
