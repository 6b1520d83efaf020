"""The variables of a Python file, each with its bindings and all its occurrences.

Scopes are libcst's, corrected (scopes.py). Names in annotations that are strings are found by
string_annotations.py. The renaming checks with the compiler that everything was found
(symbol_table_check.py, syntax_tree_check.py).
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TypeVar

import libcst as cst
from libcst import metadata
from libcst.metadata.scope_provider import (
    AnnotationScope,
    Assignment,
    BaseAssignment,
    ComprehensionScope,
    ImportAssignment,
    LocalScope,
    Scope,
)

from incoder.editing.python_source import BYTE_ORDER_MARK, PythonSource, readable
from incoder.editing.renaming.scopes import CorrectedScopes
from incoder.errors import IncoderError

Function = cst.FunctionDef | cst.Lambda
_Node = TypeVar("_Node", bound=cst.CSTNode)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A range of the text that is a variable's name, and its line."""

    start: int
    end: int
    line: int


@dataclass(frozen=True)
class Variable:
    """A name in the scope that binds it; `owner` is the dotted name of the scope, "" for the module."""

    name: str
    owner: str
    scope: metadata.Scope
    bindings: tuple[BaseAssignment, ...]
    accesses: tuple[metadata.Access, ...]
    occurrences: tuple[Occurrence, ...]
    binding_lines: tuple[int, ...]

    @property
    def where(self) -> str:
        """The scope and the line of the first binding, for messages."""
        return f"{self.owner or 'the module'} (line {self.binding_lines[0]})"

    @property
    def is_attribute(self) -> bool:
        """Whether the body of a class binds it."""
        return isinstance(self.scope, metadata.ClassScope)

    @property
    def is_global(self) -> bool:
        """Whether the module binds it."""
        return isinstance(self.scope, metadata.GlobalScope)

    @property
    def nodes(self) -> tuple[cst.CSTNode, ...]:
        """The nodes that bind the variable: names, parameters, definitions and imports."""
        found = (getattr(binding, "node", None) for binding in self.bindings)
        return tuple(node for node in found if isinstance(node, cst.CSTNode))

    @property
    def function(self) -> Function | None:
        """The function of this parameter; None if the variable is not a parameter that has a keyword."""
        node = getattr(self.scope, "node", None)
        if not isinstance(node, Function):
            return None
        by_name = (*node.params.params, *node.params.kwonly_params)
        return node if any(one in by_name for one in self.nodes) else None

    @property
    def is_parameter(self) -> bool:
        """Whether it is a parameter, which gets its value from calls."""
        return any(isinstance(node, cst.Param) for node in self.nodes)

    @property
    def is_first_of_method(self) -> bool:
        """Whether this is a method's first parameter (`self`, `cls`), which is not in the call."""
        function = self.function
        if not isinstance(function, cst.FunctionDef) or class_of(self.scope) is None:
            return False
        if any(getattr(one.decorator, "value", "") == "staticmethod" for one in function.decorators):
            return False
        by_place = (*function.params.posonly_params, *function.params.params)
        return bool(by_place) and by_place[0] in self.nodes

    @property
    def scopes(self) -> set[metadata.Scope]:
        """The scopes that bind or use the variable."""
        return {self.scope, *(access.scope for access in self.accesses)}

    @property
    def is_imported_as_it_is(self) -> bool:
        """Whether an import without `as` binds the name."""
        aliases = [
            alias
            for one in self.bindings
            if isinstance(one, ImportAssignment) and isinstance(one.node, cst.Import | cst.ImportFrom)
            if not isinstance(one.node.names, cst.ImportStar)
            for alias in one.node.names
        ]
        as_names = [one.as_name for one in self.bindings if isinstance(one, ImportAssignment)]
        own = [alias.asname.name for alias in aliases if alias.asname is not None]
        return any(name not in own for name in as_names)


class Variables:
    """All the variables of one file.

    Raises:
        IncoderError: libcst cannot read the file.

    >>> variables = Variables(PythonSource("def f(x):\\n    return x\\n"))
    >>> [(one.name, one.owner, len(one.occurrences)) for one in variables.each()]
    [('f', '', 1), ('x', 'f', 2)]
    """

    def __init__(self, source: PythonSource) -> None:
        self.source = source
        self._lines = source.lines
        self._mark = len(source.text) - len(source.text.removeprefix(BYTE_ORDER_MARK))
        self._data = readable(source.text[self._mark :]).encode()
        try:
            module = cst.parse_module(self._data.decode())
        except cst.ParserSyntaxError as error:
            raise IncoderError(f"libcst cannot read this file: {error.message}") from error
        try:
            num_bytes = len(module.bytes.rstrip(b"\r\n"))
            wrapper = metadata.MetadataWrapper(module, unsafe_skip_copy=True)
            self.scopes: Mapping[cst.CSTNode, Scope | None] = wrapper.resolve(CorrectedScopes)
            self._spans = wrapper.resolve(metadata.ByteSpanPositionProvider)
        except RecursionError as error:
            raise IncoderError("this file is nested too deeply for libcst; split long expressions") from error
        if num_bytes != len(self._data.rstrip(b"\r\n")):  # libcst's positions would be wrong
            raise IncoderError("this file has form feeds before code, which libcst loses; take them out")
        self._scopes = list(dict.fromkeys(scope for scope in self.scopes.values() if scope is not None))

    def named(self, name: str) -> list[Variable]:
        """The variables with this name, in the order of the text.

        Raises:
            IncoderError: there is no such variable.
        """
        bound: dict[Scope, set[BaseAssignment]] = defaultdict(set)
        for one in self._bindings[name]:
            bound[one.scope].add(one)
        if not bound:
            raise IncoderError(f"there is no variable {name} in this file")
        found = [self._variable(name, scope, bindings) for scope, bindings in bound.items()]
        return sorted(found, key=lambda variable: variable.binding_lines)

    def each(self) -> Iterator[Variable]:
        """Yield all variables of the file, name by name."""
        for name in list(self._bindings):
            if name.isidentifier():  # for libcst, `import a.b` also binds the name `a.b`
                yield from self.named(name)

    @cached_property
    def _bindings(self) -> Mapping[str, list[BaseAssignment]]:
        found: dict[str, list[BaseAssignment]] = defaultdict(list)
        for scope in self._scopes:
            for one in scope.assignments:
                if isinstance(one, Assignment | ImportAssignment) and one.scope is scope:
                    found[one.name].append(one)
        return found

    @cached_property
    def _line_bytes(self) -> list[int]:
        """The byte at which each line of libcst's text begins."""
        lengths = (len(line) for line in self._data.splitlines(keepends=True))
        return list(accumulate(lengths, initial=0))

    @cached_property
    def _line_characters(self) -> list[int]:
        lengths = (len(line.decode()) for line in self._data.splitlines(keepends=True))
        return list(accumulate(lengths, initial=self._mark))

    @cached_property
    def _by_type(self) -> Mapping[type, list[cst.CSTNode]]:
        found: dict[type, list[cst.CSTNode]] = defaultdict(list)
        for node in self.scopes:
            found[type(node)].append(node)
        return found

    def of_type(self, kind: type[_Node]) -> list[_Node]:
        """All nodes of exactly this type, without the names of attributes and keywords."""
        return self._by_type.get(kind, [])  # type: ignore[return-value]

    @cached_property
    def class_names(self) -> set[str]:
        """The names of all classes of the file."""
        return {node.name.value for node in self.of_type(cst.ClassDef)}

    def accesses(self, name: str, scope: Scope) -> tuple[metadata.Access, ...]:
        """All uses of a name that refer to its binding in this scope.

        libcst's own `references` leave out uses before the binding, which a loop can have.
        """
        users = [one for one in self._scopes if one.accesses[name]]
        inner = [one for one in users if any(binding.scope is scope for binding in one[name])]
        return tuple(access for one in inner for access in one.accesses[name])

    def occurrence(self, node: cst.CSTNode) -> Occurrence:
        """The range of a node in the text."""
        span = self._spans[node]
        line = bisect_right(self._line_bytes, span.start) - 1
        before = self._data[self._line_bytes[line] : span.start].decode()
        start = self._line_characters[line] + len(before)
        end = start + len(self._data[span.start : span.start + span.length].decode())
        return Occurrence(start, end, self._lines.number(start))

    def owner(self, scope: Scope) -> str:
        """The dotted name of a scope, such as `Class.method`."""
        names: list[str] = []
        while isinstance(scope, LocalScope):
            if not isinstance(scope, ComprehensionScope | AnnotationScope):
                names.insert(0, scope.name or "<lambda>")
            scope = scope.parent
        return ".".join(names)

    def _variable(self, name: str, scope: Scope, bindings: Iterable[BaseAssignment]) -> Variable:
        bindings = tuple(bindings)
        binding_nodes = [node for binding in bindings for node in _name_nodes(binding, name)]
        accesses = self.accesses(name, scope)
        nodes = [*binding_nodes, *self._declarations(name, scope), *(access.node for access in accesses)]
        places = {self._place(node) for node in nodes}
        lines = sorted({self.occurrence(node).line for node in binding_nodes})
        ordered = tuple(sorted(places, key=lambda place: place.start))
        return Variable(name, self.owner(scope), scope, bindings, accesses, ordered, tuple(lines))

    def _place(self, node: cst.CSTNode) -> Occurrence:
        while isinstance(node, cst.Attribute):
            node = node.value
        return self.occurrence(node)

    def _declarations(self, name: str, scope: Scope) -> Iterator[cst.Name]:
        """The name in the `global` and `nonlocal` statements that refer to this scope."""
        statements: list[cst.Global | cst.Nonlocal] = [*self.of_type(cst.Global), *self.of_type(cst.Nonlocal)]
        for node in statements:
            inner = self.scopes[node]
            for item in node.names:
                if item.name.value == name and inner and any(one.scope is scope for one in inner[name]):
                    yield item.name


def class_of(scope: Scope) -> cst.ClassDef | None:
    """The class of the method that has this scope; None if it is not the scope of a method."""
    parent = getattr(scope, "parent", None)
    while isinstance(parent, AnnotationScope):  # of type parameters
        parent = parent.parent
    node = getattr(parent, "node", None)
    return node if isinstance(parent, metadata.ClassScope) and isinstance(node, cst.ClassDef) else None


def name_of(node: cst.CSTNode) -> str:
    """The last name of an expression: `b` for `b` and for `a.b`, "" for any other expression."""
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""


def nodes_within(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield a node and all nodes in it, in the order of the text."""
    yield node
    for child in node.children:
        yield from nodes_within(child)


def _name_nodes(binding: BaseAssignment, name: str) -> Iterator[cst.CSTNode]:
    """The node of the name in its binding."""
    if isinstance(binding, ImportAssignment):
        yield binding.as_name
    elif isinstance(binding, Assignment):
        node = binding.node
        inner = getattr(node, "name", node)
        assert isinstance(inner, cst.Name)
        assert inner.value == name
        yield inner
