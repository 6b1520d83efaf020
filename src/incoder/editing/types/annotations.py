"""Annotations as text: extract them from a model's infill, list their names, and quote them.

This module knows the syntax of annotations (PEP 484, 526, 604), but not the meaning of names.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_ENDS = frozenset(",)]}:=#\n;")  # outside brackets, these end an annotation
_MAX_LENGTH = 100  # characters; a longer one is unreadable, and usually comes from a model that runs on


@dataclass(frozen=True, slots=True)
class TypeReference:
    """A type that an annotation names, as it is written; `is_bare` if no brackets follow it."""

    name: str
    is_bare: bool


def annotation_in(infill: str) -> str | None:
    """The annotation at the start of an infill, None if it does not begin with one.

    >>> annotation_in("dict[str, int] = {}")
    'dict[str, int]'
    """
    depth, end = 0, len(infill)
    for match in re.finditer(r"""'[^'\n]*'|"[^"\n]*"|.""", infill, re.DOTALL):
        mark = match[0]
        if depth == 0 and mark in _ENDS:
            end = match.start()
            break
        depth += (mark in "([{") - (mark in ")]}")
    text = " ".join(infill[:end].split())
    if not text or len(text) > _MAX_LENGTH:
        return None
    try:
        expression = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None
    return text if _is_annotation(expression) else None


def quoted(annotation: str) -> str:
    """The annotation as a string literal, which Python does not evaluate."""
    if "Literal" in annotation:
        return repr(annotation)
    bare = annotation.replace('"', "").replace("'", "")
    return f'"{bare}"'


def names_in(annotation: str) -> set[str]:
    """The names that the annotation needs, including the names in its strings."""
    return {reference.name.partition(".")[0] for reference in references(annotation)}


def admits_none(annotation: str) -> bool:
    """Whether the text of the annotation shows that it allows None."""
    return bool(re.search(r"\b(None|Optional|Any|object)\b", annotation))


def references(annotation: str) -> list[TypeReference]:
    """The types that the annotation names, including those in its strings, the outermost first."""
    return list(_references(ast.parse(annotation, mode="eval").body))


def outermost(annotation: str) -> TypeReference | None:
    """The type before the brackets of the annotation: `dict` for `dict[str, int]`; None for a union."""
    node = ast.parse(annotation, mode="eval").body
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return outermost(node.value)
    return next(_references(node)) if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) else None


def is_half_quoted(annotation: str) -> bool:
    """Whether one side of a `|` is a string, which raises TypeError when the annotation is evaluated."""
    return any(
        isinstance(side, ast.Constant) and isinstance(side.value, str)
        for node in ast.walk(ast.parse(annotation, mode="eval"))
        if isinstance(node, ast.BinOp)
        for side in (node.left, node.right)
    )


def _is_annotation(node: ast.expr, is_inside: bool = False) -> bool:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return annotation_in(node.value) == node.value
        return node.value is None or (is_inside and node.value is Ellipsis)
    if isinstance(node, ast.Name):
        return True
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name | ast.Attribute) and _is_annotation(node.value)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.BitOr) and all(map(_is_annotation, (node.left, node.right)))
    if isinstance(node, ast.Subscript):
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if _is_literal(node):
            return all(isinstance(one, ast.Constant) for one in inner)
        return isinstance(node.value, ast.Name | ast.Attribute) and all(
            _is_annotation(one, True) for one in inner
        )
    if isinstance(node, ast.List):
        return is_inside and all(_is_annotation(one, True) for one in node.elts)
    return False


def _references(node: ast.AST, is_bare: bool = True) -> Iterator[TypeReference]:
    if isinstance(node, ast.Name | ast.Attribute):
        yield TypeReference(ast.unparse(node), is_bare)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from references(node.value)
    elif isinstance(node, ast.Subscript):
        yield from _references(node.value, is_bare=False)
        if not _is_literal(node):
            yield from _references(node.slice)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _references(child)


def _is_literal(node: ast.Subscript) -> bool:
    return ast.unparse(node.value).rpartition(".")[2] == "Literal"
