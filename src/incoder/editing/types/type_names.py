"""The names of types that are known at a place of a file, and the modules of types that can be imported."""

import ast
import builtins
import collections.abc
import re
import typing
from collections import defaultdict
from collections.abc import Iterable, Iterator

from incoder.editing.edits import Edit
from incoder.editing.python_source import Definition, Named, PythonSource, own_nodes
from incoder.editing.types.imports import Import, import_edits

# Types that can be imported for an annotation, with their modules; the last entry of a name wins.
_KNOWN: dict[str, str] = {
    **{name: "typing" for name in typing.__all__ if re.search("^[A-Z].*[a-z]", name)},
    **dict.fromkeys(collections.abc.__all__, "collections.abc"),
    **dict.fromkeys(("Counter", "OrderedDict", "defaultdict", "deque"), "collections"),
    **dict.fromkeys(("ModuleType", "TracebackType", "SimpleNamespace"), "types"),
    **dict.fromkeys(("Path", "PurePath"), "pathlib"),
    "Decimal": "decimal",
    "Fraction": "fractions",
    "UUID": "uuid",
    "Enum": "enum",
    "timedelta": "datetime",
}
_BUILTIN_TYPES = {name for name, value in vars(builtins).items() if isinstance(value, type)} | {"None"}
_TYPING = frozenset({"typing", "typing_extensions", "collections.abc"})
_CAMEL_CASE = re.compile(r"_*[A-Z]\w*[a-z]\w*$")
_TYPE_STATEMENT: type[ast.stmt] | tuple[()] = getattr(ast, "TypeAlias", ())  # of Python 3.12


class TypeNames:
    """The meanings of names in the annotations of one file.

    In all methods, `owner` is the dotted name of the definition around an annotation, "" for the module.
    """

    def __init__(self, source: PythonSource) -> None:
        self._source = source
        own = list(own_nodes(source.tree))
        self._imports = {name: node for node in own if isinstance(node, Import) for name in _bound(node)}
        self._classes = {named.name: named.node for named in source.definitions if named.kind == "class"}
        self._parameters = {named.name: _type_parameters(named.node) for named in source.definitions}
        # The position after the first binding of each name of the module that can be a type.
        self._bound_at: dict[str, int] = {}
        for name, node in _assigned(own):
            if _is_type_statement(node) or name.strip("_")[:1].isupper():
                self._bound_at.setdefault(name, source.end(node))
        self._others = {named.name for named in source.definitions if named.kind != "class"}
        self._aliases: set[str] = set()
        for named in source.definitions:
            if named.kind == "class":
                self._sort_attributes(named)
        self._type_checking = {
            id(node) for block in _type_checking_blocks(source) for node in ast.walk(block)
        }
        self.is_deferred = any(
            isinstance(node, ast.ImportFrom)
            and node.module == "__future__"
            and any(alias.name == "annotations" for alias in node.names)
            for node in source.tree.body
        )

    def is_known(self, name: str, owner: str) -> bool:
        """Whether the name is a type of the module, of a class around `owner`, or a builtin."""
        classes = [owner.rpartition(".")[0], owner] if owner else []
        if any(f"{scope}.{name}" in self._classes.keys() | self._aliases for scope in classes if scope):
            return True
        return (
            any(name in self._parameters.get(scope, ()) for scope in _scopes(owner))
            or name in self._imports
            or name in self._bound_at
            or name in self._classes
            or name in _BUILTIN_TYPES
        )

    def is_hidden(self, name: str, owner: str) -> bool:
        """Whether the name means a function or an attribute there, even if a type has this name, too."""
        return any((f"{scope}.{name}" if scope else name) in self._others for scope in (*_scopes(owner), ""))

    def is_standard(self, name: str, owner: str) -> bool:
        """Whether the name is a type of `typing` or `collections.abc`, or would be after an import."""
        if self.is_hidden(name, owner) or self.module_of(name) not in _TYPING:
            return False
        node = self._imports.get(name)
        if isinstance(node, ast.ImportFrom):
            return node.module in _TYPING and any(
                alias.name == name and alias.asname in (None, name) for alias in node.names
            )
        return not self.is_known(name, owner)

    def standard_name(self, dotted: str, owner: str) -> str | None:
        """The last part of a dotted or plain name of `typing` or `collections.abc`; None for any other."""
        module, _, name = dotted.rpartition(".")
        is_standard = self._module(module) in _TYPING if module else self.is_standard(name, owner)
        return name if is_standard or dotted == "object" else None

    def is_in_class(self, owner: str) -> bool:
        """Whether a definition is a class or inside one, at any depth."""
        return any(scope in self._classes for scope in _scopes(owner))

    def module_of(self, name: str) -> str | None:
        """The module from which the name can be imported, None if none is known."""
        return None if name in _BUILTIN_TYPES else _KNOWN.get(name)

    def is_later(self, name: str, place: int) -> bool:
        """Whether the name is bound only after the code at `place` has run."""
        if name in self._classes:
            return self._source.end(self._classes[name]) > place
        if name in self._imports:
            statement = self._imports[name]
            return id(statement) in self._type_checking or self._source.end(statement) > place
        return self._bound_at.get(name, 0) > place

    def is_alias(self, statement: ast.Assign) -> bool:
        """Whether the text of an assignment looks like a type alias; in doubt, yes.

        An annotation would make the alias a variable, which type checkers do not accept as a type.
        """
        return self._is_type(statement.value)

    def import_edits(self, names: Iterable[str]) -> list[Edit]:
        """The edits that import those of the names that the file does not know."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for name in sorted(set(names)):
            module = self.module_of(name)
            if module is not None and not self.is_known(name, ""):
                wanted[module].append(name)
        return import_edits(self._source, wanted)

    def _module(self, dotted: str) -> str:
        """The module that a name means in the file: `typing` for `t` after `import typing as t`."""
        root, _, rest = dotted.partition(".")
        node = self._imports.get(root)
        for alias in node.names if node is not None else ():
            if (alias.asname or alias.name.partition(".")[0]) != root:
                continue
            name = alias.name if alias.asname else root
            whole = f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else name
            return f"{whole}.{rest}" if rest else whole
        return dotted

    def _sort_attributes(self, named: Named) -> None:
        """Sort the names that a class binds into types and other values, by their first binding."""
        first: dict[str, ast.stmt | ast.expr] = {}
        for name, binding in _assigned(own_nodes(named.node)):
            first.setdefault(name, binding)
        for name, binding in first.items():
            is_alias = isinstance(binding, ast.Assign) and self.is_alias(binding)
            kind = self._aliases if is_alias or _is_type_statement(binding) else self._others
            kind.add(f"{named.name}.{name}")

    def _is_type(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in _BUILTIN_TYPES or node.id in self._classes or bool(_CAMEL_CASE.match(node.id))
        if isinstance(node, ast.Attribute):
            return bool(_CAMEL_CASE.match(node.attr)) and _is_dotted(node)
        if isinstance(node, ast.Subscript):
            return self._is_type(node.value)
        if isinstance(node, ast.BinOp):
            return isinstance(node.op, ast.BitOr) and (self._is_type(node.left) or self._is_type(node.right))
        return isinstance(node, ast.IfExp) and (self._is_type(node.body) or self._is_type(node.orelse))


def _scopes(owner: str) -> Iterator[str]:
    """A definition and those around it, the innermost first."""
    while owner:
        yield owner
        owner = owner.rpartition(".")[0]


def _assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.stmt | ast.expr]]:
    """The names that nodes bind, each with its statement if that binds one name, else with its own node."""
    for node in nodes:
        if isinstance(node, ast.stmt) and _is_type_statement(node):
            yield node.name.id, node  # type: ignore[attr-defined]
        elif (
            isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
        ):
            yield node.targets[0].id, node
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node


def _is_type_statement(node: ast.AST) -> bool:
    return isinstance(node, _TYPE_STATEMENT)


def _type_parameters(node: Definition) -> set[str]:
    """`T` of `class Box[T]` and `def f[T]` (PEP 695)."""
    return {parameter.name for parameter in getattr(node, "type_params", ())}


def _is_dotted(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _bound(node: Import) -> list[str]:
    return [alias.asname or alias.name.partition(".")[0] for alias in node.names]


def _type_checking_blocks(source: PythonSource) -> Iterator[ast.If]:
    for node in source.tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            yield node
