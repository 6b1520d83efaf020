"""Where a name may be meant without standing as a name: in strings, and as the keyword of a call."""

import re
from collections.abc import Iterator

import libcst as cst
from libcst import matchers, metadata
from libcst.metadata import Scope
from libcst.metadata.scope_provider import BaseAssignment, BuiltinAssignment, ImportAssignment

from incoder.tasks.variables import Function, Variables

Call = cst.Call | cst.ClassDef  # a class statement calls what makes subclasses or classes of its bases

_READ_BY_NAME = ("globals", "vars", "eval", "exec", "getattr", "setattr", "delattr", "hasattr")
_READ_LOCALS = ("locals", "vars", "eval", "exec")
_DICTS = ("dict", "OrderedDict", "defaultdict", "SimpleNamespace")  # their keywords become strings
# These give keywords on to what they are given, or to a class's makers.
_PASSING_ON = {"partial", "partialmethod", "to_thread", "type"}
# These call what they are given by position if at all, and keep nothing of it.
_FORGETTING = ("sorted", "min", "max", "map", "filter", "isinstance", "issubclass", "super", "callable")
_CALLED_FOR_A_CLASS = ("__init__", "__new__", "__call__", "__init_subclass__", "__prepare__")
# Under these decorators a function is called with what the caller gives, and by nobody else.
_TRANSPARENT = (
    *("staticmethod", "classmethod", "property", "abstractmethod", "override", "overload", "final"),
    *("cache", "lru_cache", "contextmanager", "asynccontextmanager"),
)


class Mentions:
    """What strings and calls tell of a name.

    `exported` is its string in `__all__`, `literal` any other string that is the name, or a keyword that
    becomes one. `is_read_by_name`: something reads names from strings here; `readers` are the calls that
    read local ones, with their scopes.
    """

    def __init__(self, variables: Variables, name: str) -> None:
        self.exported: cst.SimpleString | None = None
        self.literal: cst.CSTNode | None = None
        self.is_read_by_name = False
        self.readers: list[tuple[cst.Call, Scope | None]] = []
        exports = set[cst.CSTNode]()
        for node in variables.scopes:
            if isinstance(node, cst.SimpleStatementLine) and _begins_with_all(node):
                exports.update(matchers.findall(node, matchers.SimpleString()))
        for node, scope in variables.scopes.items():
            if isinstance(node, cst.Call) and isinstance(node.func, cst.Name):
                called = node.func.value
                self.is_read_by_name |= called in _READ_BY_NAME
                if called in _READ_LOCALS and (called != "vars" or not node.args):
                    self.readers.append((node, scope))
            if isinstance(node, cst.Call) and name_of(node.func) in _DICTS:
                keywords = [argument.keyword for argument in node.args if argument.keyword is not None]
                self.literal = next((one for one in keywords if one.value == name), self.literal)
            elif isinstance(node, cst.SimpleString) and node.evaluated_value == name:
                if node in exports:
                    self.exported = node
                else:
                    self.literal = node


class Calls:
    """The calls of a file that are of one function, or may be.

    `is_value`: the function, or what it is called for, is used as a value, so that it may be called by any
    name, and with what a dict holds.
    """

    def __init__(self, variables: Variables, function: Function) -> None:
        self._variables = variables
        self._function = function
        self._surely: set[cst.CSTNode] = {function}
        self._name = "" if isinstance(function, cst.Lambda) else function.name.value
        self._names = set[str]()  # by which it may be given to others
        self._owner: cst.ClassDef | None = None  # of a function that is called when a class is
        calls = [node for node in variables.scopes if isinstance(node, cst.Call)]
        self._harmless: set[cst.CSTNode] = {call.func for call in calls}
        forgetting = [call for call in calls if _forgets(variables, call)]
        self._harmless.update(argument.value for call in forgetting for argument in call.args)
        if isinstance(function, cst.Lambda):
            self.is_value = function not in self._harmless
        else:
            self.is_value = self._looks_for(function)

    def is_of_it(self, call: Call) -> bool:
        return isinstance(call, cst.Call) and call.func in self._surely

    def may_be_of_it(self, call: Call) -> bool:
        if self.is_of_it(call):
            return True
        if isinstance(call, cst.Call) and _forgets(self._variables, call):
            return False
        given = [argument.value for argument in arguments_of(call)]
        if any(value is self._function or name_of(value) in self._names for value in given):
            return True
        if isinstance(call, cst.Call):
            given = [call.func]
            if self._name and name_of(call.func) == self._name:
                return True
        else:
            given = [one.value for one in (*call.bases, *call.keywords) if _is_maker(one)]
        return (self.is_value or self._owner is not None) and not all(map(self._is_other, given))

    def _looks_for(self, function: cst.FunctionDef) -> bool:
        """Find out by what names a function is called; whether it is used as a value as well."""
        variables, name = self._variables, self._name
        self._names = {name}
        scope = variables.scopes[function.name]
        assert scope is not None
        uses = self._uses(name, scope)
        if isinstance(scope, metadata.ClassScope):
            self._surely = set()  # of whose object a method is called cannot be seen
        else:
            self._surely = uses if len(scope[name]) == 1 else set()  # else it depends on the run
        is_value = bool(uses - self._harmless) or Mentions(variables, name).literal is not None
        is_value |= any(decorator_name(one) not in _TRANSPARENT for one in function.decorators)
        if isinstance(scope, metadata.ClassScope) and name in _CALLED_FOR_A_CLASS:
            assert isinstance(scope.node, cst.ClassDef)
            self._owner = scope.node
            self._names |= variables.class_names
            is_value |= name == "__call__" or self._is_class_a_value(self._owner)
        return is_value

    def _uses(self, name: str, scope: Scope) -> set[cst.CSTNode]:
        """Where a definition is used: names that mean it, and of a class's also attributes."""
        accesses = self._variables.accesses(name, scope)
        uses: set[cst.CSTNode] = {
            access.node for access in accesses if not (access.is_annotation or access.is_type_hint)
        }
        if isinstance(scope, metadata.ClassScope):
            nodes = self._variables.scopes
            uses |= {node for node in nodes if isinstance(node, cst.Attribute) and name_of(node) == name}
        return uses

    def _is_class_a_value(self, owner: cst.ClassDef) -> bool:
        scope = self._variables.scopes[owner.name]
        assert scope is not None
        nodes = self._variables.scopes
        roots = {node.value for node in nodes if isinstance(node, cst.Attribute)}
        bases = {base.value for node in nodes if isinstance(node, cst.ClassDef) for base in node.bases}
        return bool(self._uses(owner.name.value, scope) - self._harmless - roots - bases)

    def _is_other(self, called: cst.BaseExpression, seen: frozenset[cst.ClassDef] = frozenset()) -> bool:
        """Whether this surely is not the function: a builtin, an import, another definition."""
        root = called.value if isinstance(called, cst.Subscript) else called
        while isinstance(root, cst.Attribute):
            root = root.value
        scope = self._variables.scopes.get(root)
        if not isinstance(root, cst.Name) or scope is None:
            return False
        bindings = scope[root.value]
        return bool(bindings) and all(self._binds_other(one, root.value, called, seen) for one in bindings)

    def _binds_other(
        self, binding: BaseAssignment, name: str, called: cst.BaseExpression, seen: frozenset[cst.ClassDef]
    ) -> bool:
        if isinstance(binding, BuiltinAssignment | ImportAssignment):
            names = {one.name.rpartition(".")[2] for one in binding.get_qualified_names_for(name)}
            return not _PASSING_ON & {*names, name_of(called)}
        node = getattr(binding, "node", None)
        if isinstance(called, cst.Attribute):
            return False
        if isinstance(node, cst.FunctionDef):
            return node is not self._function
        return isinstance(node, cst.ClassDef) and self._is_class_other(node, seen)

    def _is_class_other(self, node: cst.ClassDef, seen: frozenset[cst.ClassDef]) -> bool:
        """Whether calling a class, or deriving from it, surely does not call the function."""
        if node is self._owner or node in seen or any(map(_is_maker, node.keywords)):
            return False
        scope = self._variables.scopes[node.body.body[0]]
        assert scope is not None
        makers = [one for name in _CALLED_FOR_A_CLASS for one in scope.assignments[name]]
        if any(not isinstance(getattr(one, "node", None), cst.FunctionDef) for one in makers):
            return False
        return all(not base.star and self._is_other(base.value, seen | {node}) for base in node.bases)


def named_arguments(variables: Variables) -> Iterator[tuple[Call, cst.Arg]]:
    """The calls that give something by name, and what they give: `name=…` or `**…`."""
    for node in variables.scopes:
        if isinstance(node, Call):
            for argument in arguments_of(node):
                is_own = isinstance(node, cst.ClassDef) and _is_maker(argument)
                if argument.star == "**" or (argument.keyword is not None and not is_own):
                    yield node, argument


def arguments_of(call: Call) -> tuple[cst.Arg, ...]:
    return (*call.args,) if isinstance(call, cst.Call) else (*call.bases, *call.keywords)


def name_of(node: cst.CSTNode) -> str:
    """By what name something is meant: the last of `a.b`; "" where it has none."""
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""


def decorator_name(decorator: cst.Decorator) -> str:
    """The name of a decorator, called or not."""
    called = decorator.decorator
    return name_of(called.func if isinstance(called, cst.Call) else called)


def is_fixture(function: cst.FunctionDef) -> bool:
    """Whether pytest gives it to what has a parameter of its name."""
    return any(decorator_name(one) == "fixture" for one in function.decorators)


def is_called_by_pytest(function: cst.FunctionDef) -> bool:
    """Whether this is a test, a fixture or a hook, which get what their parameters name."""
    name = function.name.value
    return name == "test" or name.startswith(("test_", "pytest_")) or is_fixture(function)


def mention_in_decorators(function: cst.FunctionDef, name: str) -> cst.CSTNode | None:
    """Where a decorator has the name as a word of a string, or as a keyword."""
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    strings, keywords = matchers.SimpleString(), matchers.Arg(keyword=matchers.Name(name))
    for decorator in function.decorators:
        for one in matchers.findall(decorator, strings | keywords):
            if not isinstance(one, cst.SimpleString) or word.search(one.value):
                return one
    return None


def shown_name(variables: Variables, name: str) -> cst.CSTNode | None:
    """Where an f-string shows an expression that has the name as it is written: `{name=}`."""
    for node in variables.scopes:
        if isinstance(node, cst.FormattedStringExpression) and node.equal is not None:
            found = matchers.findall(node.expression, matchers.Name(name))
            if found:
                return found[0]
    return None


def _is_maker(argument: cst.Arg) -> bool:
    """Whether a class may get its makers from this: a base, a metaclass, what is in a dict."""
    return argument.keyword is None or argument.keyword.value == "metaclass"


def _forgets(variables: Variables, call: cst.Call) -> bool:
    """Whether this calls a builtin that is done with its arguments when it returns, or `….sort(…)`."""
    if isinstance(call.func, cst.Attribute):
        return call.func.attr.value == "sort"
    scope, name = variables.scopes.get(call.func), name_of(call.func)
    if name not in _FORGETTING or scope is None:
        return False
    return all(isinstance(binding, BuiltinAssignment) for binding in scope[name])


def _begins_with_all(line: cst.SimpleStatementLine) -> bool:
    """Whether a statement is about `__all__`: `__all__ = …`, `__all__ += …`, `__all__.extend(…)`."""
    for node in line.body:
        target: cst.CSTNode = node
        if isinstance(node, cst.Assign):
            target = node.targets[0].target
        elif isinstance(node, cst.AugAssign | cst.AnnAssign):
            target = node.target
        elif isinstance(node, cst.Expr) and isinstance(node.value, cst.Call):
            target = node.value.func
        while isinstance(target, cst.Attribute):
            target = target.value
        if isinstance(target, cst.Name) and target.value == "__all__":
            return True
    return False
