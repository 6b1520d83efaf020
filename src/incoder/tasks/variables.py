"""The variables of a Python file: where each is bound, and every place that means it.

Scopes are libcst's; what its provider leaves out is added here (captures of `match`, `:=` in comprehensions).
The renaming asks the compiler whether all was found (compiled_scopes.py).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import libcst as cst
from libcst import metadata
from libcst.metadata.scope_provider import (
    Assignment,
    BaseAssignment,
    ComprehensionScope,
    ImportAssignment,
    LocalScope,
    Scope,
    ScopeVisitor,
)

from incoder.errors import IncoderError
from incoder.tasks.python_source import BYTE_ORDER_MARK, PythonSource, readable

_LITERAL = re.compile(r"\bLiteral\s*\[[^\]]*")
_QUOTED = re.compile(r"""(["']).*?\1""")

Function = cst.FunctionDef | cst.Lambda


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A range of the text that is the variable's name, and its line."""

    start: int
    end: int
    line: int


@dataclass(frozen=True)
class Variable:
    """A name in the scope that binds it; `owner` is that scope's name, "" for the module."""

    name: str
    owner: str
    scope: metadata.Scope
    bindings: tuple[BaseAssignment, ...]
    accesses: tuple[metadata.Access, ...]
    occurrences: tuple[Occurrence, ...]
    binding_lines: tuple[int, ...]

    @property
    def where(self) -> str:
        return f"{self.owner or 'the module'} (line {self.binding_lines[0]})"

    @property
    def is_attribute(self) -> bool:
        return isinstance(self.scope, metadata.ClassScope)

    @property
    def is_global(self) -> bool:
        return isinstance(self.scope, metadata.GlobalScope)

    @property
    def function(self) -> Function | None:
        """The function whose parameter this is, None where it is no parameter that calls can name."""
        node = getattr(self.scope, "node", None)
        if not isinstance(node, Function):
            return None
        by_name = (*node.params.params, *node.params.kwonly_params)
        return node if any(getattr(one, "node", None) in by_name for one in self.bindings) else None

    @property
    def is_imported_as_it_is(self) -> bool:
        """Whether an import binds the name without `as`."""
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
        IncoderError: libcst cannot read it.
    """

    def __init__(self, source: PythonSource) -> None:
        self._text = source.text
        self._lines = source.lines
        self._mark = len(source.text) - len(source.text.removeprefix(BYTE_ORDER_MARK))
        self._data = readable(source.text[self._mark :]).encode()
        try:
            module = cst.parse_module(self._data.decode())
        except cst.ParserSyntaxError as error:
            raise IncoderError(f"libcst cannot read this file: {error.message}") from error
        self._wrapper = metadata.MetadataWrapper(module, unsafe_skip_copy=True)
        self.scopes: Mapping[cst.CSTNode, Scope | None] = self._wrapper.resolve(_Scopes)
        self._scopes = list(dict.fromkeys(scope for scope in self.scopes.values() if scope is not None))

    @cached_property
    def _spans(self) -> Mapping[cst.CSTNode, metadata.CodeSpan]:
        return self._wrapper.resolve(metadata.ByteSpanPositionProvider)

    def named(self, name: str) -> list[Variable]:
        """The variables of this name, in the order of the text.

        Raises:
            IncoderError: there is none.
        """
        bound: dict[Scope, set[BaseAssignment]] = defaultdict(set)
        for scope in self._scopes:
            for one in scope.assignments[name]:
                if isinstance(one, Assignment | ImportAssignment) and one.scope is scope:
                    bound[scope].add(one)
        if not bound:
            raise IncoderError(f"there is no variable {name} in this file")
        found = [self._variable(name, scope, bindings) for scope, bindings in bound.items()]
        return sorted(found, key=lambda variable: variable.binding_lines)

    @cached_property
    def class_names(self) -> set[str]:
        """The names of all classes of the file."""
        return {node.name.value for node in self.scopes if isinstance(node, cst.ClassDef)}

    def accesses(self, name: str, scope: Scope) -> tuple[metadata.Access, ...]:
        """All uses of a name that mean this scope's.

        libcst's own `references` leave out those that stand before the binding, as they may in a loop.
        """
        inner = [one for one in self._scopes if any(binding.scope is scope for binding in one[name])]
        return tuple(access for one in inner for access in one.accesses[name])

    def read_before_bound(self, name: str) -> cst.CSTNode | None:
        """Where a class body that binds the name may read the global of that name (`x = x`)."""
        for node in self.scopes:
            if not isinstance(node, cst.ClassDef):
                continue
            scope = self.scopes[node.body.body[0]]
            if scope is None or not scope.assignments[name]:
                continue
            reads = {access.node for access in scope.accesses[name]}
            for statement in _statements(node.body):
                read = next((one for one in _nodes(statement) if one in reads), None)
                if read is not None:
                    return read
                if _surely_binds(statement, name):
                    break
        return None

    def occurrence(self, node: cst.CSTNode) -> Occurrence:
        """Where a node stands."""
        span = self._spans[node]
        start = self._mark + len(self._data[: span.start].decode())
        end = start + len(self._data[span.start : span.start + span.length].decode())
        return Occurrence(start, end, self._lines.number(start))

    def owner(self, scope: Scope) -> str:
        """The name of a scope, such as `Class.method`."""
        names: list[str] = []
        while isinstance(scope, LocalScope):
            if not isinstance(scope, ComprehensionScope):
                names.insert(0, scope.name or "<lambda>")
            scope = scope.parent
        return ".".join(names)

    def _variable(self, name: str, scope: Scope, bindings: Iterable[BaseAssignment]) -> Variable:
        bindings = tuple(bindings)
        binding_nodes = [node for binding in bindings for node in _name_nodes(binding, name)]
        accesses = self.accesses(name, scope)
        nodes = [*binding_nodes, *self._declarations(name, scope), *(access.node for access in accesses)]
        places = {place for node in nodes for place in self._places(node, name)}
        lines = sorted({self.occurrence(node).line for node in binding_nodes})
        ordered = tuple(sorted(places, key=lambda place: place.start))
        return Variable(name, self.owner(scope), scope, bindings, accesses, ordered, tuple(lines))

    def _places(self, node: cst.CSTNode, name: str) -> Iterator[Occurrence]:
        """Where the name stands in a node that means it: in strings, all places that are no attributes."""
        while isinstance(node, cst.Attribute):
            node = node.value
        place = self.occurrence(node)
        if isinstance(node, cst.Name):
            yield place
            return
        content = self._text[place.start : place.end]
        literals = [match.span() for one in _LITERAL.finditer(content) for match in _quotes_in(one)]
        for match in _word(name).finditer(content):
            if any(start < match.start() < end for start, end in literals):
                continue  # a value, and no name
            yield Occurrence(place.start + match.start(), place.start + match.end(), place.line)

    def _declarations(self, name: str, scope: Scope) -> Iterator[cst.Name]:
        """The name in `global` and `nonlocal` statements that mean this scope."""
        for node, inner in self.scopes.items():
            if isinstance(node, cst.Global | cst.Nonlocal) and inner is not None:
                for item in node.names:
                    if item.name.value == name and any(one.scope is scope for one in inner[name]):
                        yield item.name


class _Visitor(ScopeVisitor):
    """libcst's, and the bindings that it does not know."""

    def visit_MatchAs(self, node: cst.MatchAs) -> bool:
        if node.pattern is not None:
            node.pattern.visit(self)
        return self._bound(node.name)

    def visit_MatchStar(self, node: cst.MatchStar) -> bool:
        return self._bound(node.name)

    def visit_MatchMapping(self, node: cst.MatchMapping) -> bool:
        for element in node.elements:
            element.visit(self)
        return self._bound(node.rest)

    def visit_NamedExpr(self, node: cst.NamedExpr) -> bool:
        """`:=` in a comprehension binds in the scope around it (PEP 572)."""
        scope = self.scope
        while isinstance(scope, ComprehensionScope):
            scope = scope.parent
        with self._switch_scope(scope):
            node.target.visit(self)
        node.value.visit(self)
        return False

    def _bound(self, name: cst.Name | None) -> bool:
        if name is not None:
            self.scope.record_assignment(name.value, name)
        return False


class _Scopes(metadata.ScopeProvider):
    def visit_Module(self, node: cst.Module) -> bool:
        visitor = _Visitor(self)
        node.visit(visitor)
        visitor.infer_accesses()
        return False


def _name_nodes(binding: BaseAssignment, name: str) -> Iterator[cst.CSTNode]:
    """The node of the name in what binds it."""
    if isinstance(binding, ImportAssignment):
        yield binding.as_name
    elif isinstance(binding, Assignment):
        node = binding.node
        inner = getattr(node, "name", node)
        assert isinstance(inner, cst.Name)
        assert inner.value == name
        yield inner


def _statements(body: cst.BaseSuite) -> Iterator[cst.CSTNode]:
    """The statements of a body, those that share a line one by one."""
    for statement in body.body:
        if isinstance(statement, cst.SimpleStatementLine):
            yield from statement.body
        else:
            yield statement


def _nodes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def _surely_binds(statement: cst.CSTNode, name: str) -> bool:
    """Whether a statement of a class body gives the name a value, whatever happens."""
    if isinstance(statement, cst.FunctionDef | cst.ClassDef):
        return statement.name.value == name
    targets: list[cst.BaseExpression] = []
    if isinstance(statement, cst.Assign):
        targets = [target.target for target in statement.targets]
    elif isinstance(statement, cst.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    return any(isinstance(target, cst.Name) and target.value == name for target in targets)


def _quotes_in(literal: re.Match[str]) -> Iterator[re.Match[str]]:
    """The strings of a `Literal[…]` that stands in a string itself."""
    return _QUOTED.finditer(literal.string, *literal.span())


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
