"""Dynamic lookups: code that reads variables by name at run time (`eval`, `locals()`, `sys.modules`, …).

A lookup reaches the local variables of every function (frames, source text, an `eval` under another name),
the variables of the module, or only the variables of the function that makes the call.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import libcst as cst
from libcst import metadata
from libcst.metadata.scope_provider import BuiltinAssignment, ComprehensionScope, Scope

from incoder.editing.renaming.known_names import FRAME_READERS, MODULE_READERS, QUERIES, SIGNATURE_READERS
from incoder.editing.renaming.variables import Variable, Variables, name_of

_EVALUATE = frozenset(("eval", "exec"))
_LIST_LOCALS = frozenset(("locals", "vars", "dir"))
_MAX_SHOWN = 40  # characters of a text
_MODULE_HOOKS = frozenset(("__getattr__", "__dir__"))
_EVALUATING_METHODS = frozenset(("eval", "evaluate"))


@dataclass(frozen=True, slots=True)
class DynamicLookup:
    """A node that reads variables by name, and `what` it is, for messages."""

    node: cst.CSTNode
    what: str


class DynamicLookups:
    """The dynamic lookups of one file.

    `every_local` reads the local variables of all functions, `module` the variables of the module,
    `signatures` the parameters of functions, and `evaluation` runs code that is not in this file. Each is the
    first such lookup, None if there is none.
    """

    def __init__(self, variables: Variables) -> None:
        self._variables = variables
        self._calls = {call.func: call for call in variables.of_type(cst.Call)}
        self._readers = list(self._local_readers())
        self.every_local = next(self._frames(), None)
        self.module = self.every_local or next(self._modules(), None)
        self.signatures = next(self._references(SIGNATURE_READERS), None)
        self.evaluation = self.every_local or next(self._evaluations(), None)

    def reader(self, variable: Variable) -> DynamicLookup | None:
        """A lookup that may read this variable, None if there is none."""
        if self.every_local is not None:
            return self.every_local
        if variable.is_global and self.module is not None:
            return self.module
        return next((reader for reader, scope in self._readers if scope in variable.scopes), None)

    @cached_property
    def evaluates(self) -> bool:
        """Whether the file calls `eval` or `exec`, or passes one of them on."""
        names = (name for name in self._variables.of_type(cst.Name) if name.value in _EVALUATE)
        return any(self._is_builtin(name) for name in names)

    def query(self, variable: Variable) -> DynamicLookup | None:
        """A call in the variable's scope that may evaluate a text with its name: `frame.query("x > 1")`."""
        word = re.compile(rf"(?<![\w.]){re.escape(variable.name)}(?!\w)")
        for call, text in self._queries:
            scope = self._variables.scopes[call]
            if scope is None or not word.search(text):
                continue
            if any(binding.scope is variable.scope for binding in scope[variable.name]):
                name = name_of(call.func) or "this call"
                return DynamicLookup(call, f"{name}({text if len(text) < _MAX_SHOWN else '…'})")
        return None

    @cached_property
    def _queries(self) -> list[tuple[cst.Call, str]]:
        """The calls with a text that they may evaluate: an expression, a formula, or `@name`."""
        texts = [(call, _text(one.value)) for call in self._calls.values() for one in call.args]
        return [
            (call, text)
            for call, text in texts
            if text and (name_of(call.func) in QUERIES or "~" in text or "@" in text)
        ]

    def _frames(self) -> Iterator[DynamicLookup]:
        for name in self._variables.of_type(cst.Name):
            if name in self._calls or not self._is_builtin(name):
                continue
            if name.value in _EVALUATE | _LIST_LOCALS:  # any function may call it by another name
                yield DynamicLookup(name, f"{name.value} as a value")
        yield from self._references(FRAME_READERS)
        for node in self._variables.of_type(cst.Attribute):
            root = name_of(node.value)
            if root in ("builtins", "__builtins__") and node.attr.value in _EVALUATE | _LIST_LOCALS:
                yield DynamicLookup(node, f"{root}.{node.attr.value}")
            if root == "inspect" and node.attr.value in ("stack", "trace"):
                yield DynamicLookup(node, f"inspect.{node.attr.value}")
        for statement in self._variables.of_type(cst.ImportFrom):
            module = name_of(statement.module) if statement.module is not None else ""
            readers = {"builtins": _EVALUATE | _LIST_LOCALS, "inspect": frozenset(("stack", "trace"))}
            for imported in _imported(statement):
                if imported in readers.get(module, ()):
                    yield DynamicLookup(statement, f"{module}.{imported}")
        for call in self._calls.values():
            if name_of(call.func) == "open" and any(name_of(one.value) == "__file__" for one in call.args):
                yield DynamicLookup(call, "open(__file__)")

    def _evaluations(self) -> Iterator[DynamicLookup]:
        for name in self._variables.of_type(cst.Name):
            if name.value in _EVALUATE and self._is_builtin(name):
                call = self._calls.get(name)
                if call is None or not self._is_closed(call):
                    yield DynamicLookup(name, name.value)

    def _is_closed(self, call: cst.Call) -> bool:
        """Whether the call evaluates code in a dict of its own, so that the code sees no other variables."""
        if len(call.args) < 2 or any(argument.star for argument in call.args):
            return False
        given = call.args[1].value
        if not isinstance(given, cst.Name):
            return isinstance(given, cst.Dict)
        scope = self._variables.scopes[given]
        bindings = {getattr(one, "node", None) for one in scope[given.value]} if scope is not None else set()
        assigned = {
            target.target
            for statement in self._variables.of_type(cst.Assign)
            for target in statement.targets
            if isinstance(statement.value, cst.Dict)
        }
        annotated = {
            statement.target
            for statement in self._variables.of_type(cst.AnnAssign)
            if isinstance(statement.value, cst.Dict)
        }
        return bool(bindings) and bindings <= assigned | annotated

    def _modules(self) -> Iterator[DynamicLookup]:
        yield from self._evaluations()
        for name in self._variables.of_type(cst.Name):
            if name.value in ("globals", "__import__") and self._is_builtin(name):
                yield DynamicLookup(name, name.value)
            if name.value in ("__dict__", "__builtins__", "__annotations__"):
                yield DynamicLookup(name, name.value)
        yield from self._references(MODULE_READERS)
        for node in self._variables.of_type(cst.Attribute):
            if node.attr.value == "modules" and name_of(node.value) == "sys":
                yield DynamicLookup(node, "sys.modules")
        for statement in self._variables.of_type(cst.ImportFrom):
            if statement.module is not None and name_of(statement.module) == "sys":
                yield from (
                    DynamicLookup(statement, "sys.modules")
                    for one in _imported(statement)
                    if one == "modules"
                )
        for imported in self._variables.of_type(cst.Import):
            for alias in imported.names:
                if name_of(alias.name) in ("__main__", "runpy"):
                    yield DynamicLookup(imported, f"import {name_of(alias.name)}")
        for statement in self._variables.of_type(cst.ImportFrom):
            if statement.module is not None and name_of(statement.module) in ("__main__", "runpy"):
                yield DynamicLookup(statement, f"import from {name_of(statement.module)}")
        for function in self._variables.of_type(cst.FunctionDef):
            scope = self._variables.scopes[function.name]
            if function.name.value in _MODULE_HOOKS and isinstance(scope, metadata.GlobalScope):
                yield DynamicLookup(function, f"the module's {function.name.value}")
        compared = {
            string
            for comparison in self._variables.of_type(cst.Comparison)
            if "__name__" in (name.value for name in _names(comparison))
            for string in (comparison.left, *(target.comparator for target in comparison.comparisons))
        }
        for string in self._variables.of_type(cst.SimpleString):
            if "__main__" in string.value and string not in compared:
                yield DynamicLookup(string, "a string that names __main__")
        for call in self._calls.values():
            if name_of(call.func) == "Fire" and not call.args:
                yield DynamicLookup(call, "Fire() without a function")

    def _references(self, names: frozenset[str]) -> Iterator[DynamicLookup]:
        for node in self._variables.of_type(cst.Attribute):
            if node.attr.value in names:
                yield DynamicLookup(node, node.attr.value)
        for statement in self._variables.of_type(cst.ImportFrom):
            for name in _imported(statement):
                if name in names:
                    yield DynamicLookup(statement, name)
        for string in self._variables.of_type(cst.SimpleString):
            if string.value[1:-1] in names:
                yield DynamicLookup(string, f"the string {string.value}")
        for call in self._calls.values():
            for argument in call.args:
                if argument.keyword is not None and argument.keyword.value in names:
                    yield DynamicLookup(call, f"{argument.keyword.value}=")

    def _local_readers(self) -> Iterator[tuple[DynamicLookup, Scope]]:
        """The calls that read the variables of the scope around them, each with this scope."""
        for call in self._calls.values():
            name = name_of(call.func)
            is_plain = isinstance(call.func, cst.Name)
            is_open = name in _EVALUATE and not self._is_closed(call)
            reads = is_plain and (is_open or (name in _LIST_LOCALS and not call.args))
            if not is_plain and name in _EVALUATING_METHODS and call.args:
                reads = not _text(call.args[0].value)  # `query` searches a literal text
            scope = self._variables.scopes[call]
            while reads and scope is not None:
                yield DynamicLookup(call, f"{name}()"), scope
                if not isinstance(scope, ComprehensionScope):
                    break
                scope = scope.parent  # in some versions of Python, a comprehension sees these variables, too

    def _is_builtin(self, name: cst.Name) -> bool:
        scope = self._variables.scopes[name]
        bindings = scope[name.value] if scope is not None else ()
        return all(isinstance(binding, BuiltinAssignment) for binding in bindings)


def _imported(statement: cst.ImportFrom) -> list[str]:
    if isinstance(statement.names, cst.ImportStar):
        return []
    return [name_of(alias.name) for alias in statement.names]


def _names(comparison: cst.Comparison) -> Iterator[cst.Name]:
    for node in (comparison.left, *(target.comparator for target in comparison.comparisons)):
        if isinstance(node, cst.Name):
            yield node


def _text(node: cst.BaseExpression) -> str:
    """The text between the quotes of a string, "" for any other expression."""
    if isinstance(node, cst.SimpleString):
        return node.raw_value
    if isinstance(node, cst.ConcatenatedString):
        return _text(node.left) + _text(node.right)
    if isinstance(node, cst.FormattedString):
        return "".join(part.value for part in node.parts if isinstance(part, cst.FormattedStringText))
    return ""
