"""Names in string annotations: references to a variable, data, or possibly either.

`"Node"`, `Optional["Node"]` and `"list[Node]"` contain references. `Literal["Node"]` and all but the first
element of `Annotated[…]` are data. `TYPES["Node"]` may be either.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

import libcst as cst
from libcst import matchers

from incoder.editing.renaming.known_names import GENERICS
from incoder.editing.renaming.variables import Occurrence, Variable, Variables, name_of

_LITERAL = re.compile(r"\bLiteral\s*\[[^\]]*\]")
_String = cst.SimpleString | cst.ConcatenatedString | cst.FormattedString


class _Role(Enum):
    TYPE = 1
    DATA = 2
    UNKNOWN = 3


@dataclass
class References:
    """The references to one variable in the string annotations of a file.

    `places` are its occurrences in strings that are types. `unclear` are strings that may or may not refer to
    it, and `data` are strings that certainly do not.
    """

    places: list[Occurrence] = field(default_factory=list)
    unclear: list[_String] = field(default_factory=list)
    data: list[_String] = field(default_factory=list)


class StringAnnotations:
    """The strings in the annotations of one file."""

    def __init__(self, variables: Variables) -> None:
        self._variables = variables
        self._found = [
            (node, role, value, variables.scopes[annotation])
            for annotation in variables.of_type(cst.Annotation)
            for node, role in _strings(annotation.annotation, _Role.TYPE)
            if not isinstance(node, cst.FormattedString) and isinstance(value := node.evaluated_value, str)
        ]

    def references(self, variable: Variable) -> References:
        """The references to the variable, certain or possible."""
        found = References()
        word = re.compile(rf"(?<!\w){re.escape(variable.name)}(?!\w)")
        for node, role, value, scope in self._found:
            if not word.search(value):
                continue
            bindings = scope[variable.name] if scope is not None else ()
            if role is _Role.DATA:
                found.data.append(node)
            elif not any(binding.scope is variable.scope for binding in bindings):
                continue
            elif role is _Role.UNKNOWN or not _is_plain(node, value) or not _is_clear(value, word):
                found.unclear.append(node)
            else:
                found.places += _places(self._variables.occurrence(node), value, word)
        return found


def _places(literal: Occurrence, value: str, word: re.Pattern[str]) -> Iterator[Occurrence]:
    values = [one.span() for one in _LITERAL.finditer(value)]
    for match in word.finditer(value):
        is_attribute = value[: match.start()].rstrip().endswith(".")
        is_value = any(
            start < match.start() < end and value[match.start() - 1] in "\"'" for start, end in values
        )
        if not (is_attribute or is_value):
            start = literal.start + 1 + match.start()
            yield Occurrence(start, start + match.end() - match.start(), literal.line)


def _is_plain(node: _String, value: str) -> bool:
    """Whether the text between the quotes is the string's value, character by character."""
    return isinstance(node, cst.SimpleString) and node.value in (f'"{value}"', f"'{value}'")


def _is_clear(value: str, word: re.Pattern[str]) -> bool:
    """Whether the value is an expression that has the name in no string but that of a `Literal[…]`.

    A string in a string, as in `'"Node"'`, counts as its content.
    """
    try:
        expression = cst.parse_expression(value.strip())
    except cst.ParserSyntaxError:
        return False
    if isinstance(expression, cst.SimpleString):
        inner = expression.evaluated_value
        return isinstance(inner, str) and _is_plain(expression, inner) and _is_clear(inner, word)
    return all(
        role is _Role.DATA and not _in_annotated(expression)
        for node, role in _strings(expression, _Role.TYPE)
        if word.search(cst.Module([]).code_for_node(node))
    )


def _in_annotated(expression: cst.BaseExpression) -> bool:
    return bool(matchers.findall(expression, matchers.Name("Annotated")))


def _strings(node: cst.CSTNode, role: _Role) -> Iterator[tuple[_String, _Role]]:
    """The strings of an annotation, each with its role."""
    if isinstance(node, _String):
        yield node, role
    elif isinstance(node, cst.Subscript):
        yield from _strings(node.value, _Role.UNKNOWN)
        elements = [one.slice for one in node.slice]
        for number, element in enumerate(elements):
            yield from _strings(element, _role_in(node.value, number, role))
    elif isinstance(node, cst.BinaryOperation):
        inner = role if isinstance(node.operator, cst.BitOr) else _Role.UNKNOWN
        yield from _strings(node.left, inner)
        yield from _strings(node.right, inner)
    elif isinstance(node, cst.Index | cst.List | cst.Tuple | cst.Element | cst.StarredElement):
        for child in node.children:
            yield from _strings(child, role)
    else:
        for child in node.children:
            yield from _strings(child, _Role.DATA if role is _Role.DATA else _Role.UNKNOWN)


def _role_in(generic: cst.BaseExpression, number: int, role: _Role) -> _Role:
    """The role of an element of `generic[…]`, by the name of `generic`."""
    name = name_of(generic)
    if role is not _Role.TYPE:
        return role
    if name == "Literal" or (name == "Annotated" and number > 0):
        return _Role.DATA
    return _Role.TYPE if name == "Annotated" or name in GENERICS else _Role.UNKNOWN
