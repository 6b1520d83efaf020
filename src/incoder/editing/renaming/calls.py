"""The calls of one function in a file, certain and possible, and other uses of the function.

Renaming a parameter also renames it in the calls of its function (`f(x=1)`). A function that is used as a
value may be called by any name and with any keywords.
"""

from collections.abc import Sequence

import libcst as cst
from libcst import metadata
from libcst.metadata.scope_provider import BaseAssignment, BuiltinAssignment, ImportAssignment, Scope

from incoder.editing.renaming.call_sites import Call, CallSites, arguments_of, may_supply_constructor
from incoder.editing.renaming.decorators import opaque_decorator
from incoder.editing.renaming.string_references import StringReferences
from incoder.editing.renaming.variables import Function, Variables, class_of, name_of

# These forward keywords to a function that is their argument, or to the constructor of a class.
_FORWARDING = {"partial", "partialmethod", "to_thread", "type", "methodcaller", "getattr", "replace"}
_CONSTRUCTORS = ("__init__", "__new__", "__call__", "__init_subclass__", "__prepare__")


class Calls:
    """The calls of a file that call one function, or may call it.

    `used_as_value` is a node that uses the function as a value, or the class whose constructor it is, None if
    the function is only called. A function that is used as a value may be called by any name and with the
    content of a dict, and its signature may be read. `is_looked_up_by_name` is True if code may look the
    function up by a name that is made at run time.
    """

    def __init__(
        self, variables: Variables, sites: CallSites, strings: StringReferences, function: Function
    ) -> None:
        self._variables = variables
        self._sites = sites
        self._function = function
        self._certain: set[cst.CSTNode] = {function}
        self._name = "" if isinstance(function, cst.Lambda) else function.name.value
        self._names = set[str]()  # by which it may be passed as an argument
        self._owner: cst.ClassDef | None = None  # the class, if this function is one of its constructors
        self._non_escaping_uses = sites.non_escaping_uses
        self.is_looked_up_by_name = False
        self.used_as_value: cst.CSTNode | None = None
        if isinstance(function, cst.Lambda):
            assigned = _only_called(variables, function)
            self._certain |= assigned or set()
            self.used_as_value = (
                None if function in self._non_escaping_uses or assigned is not None else function
            )
        else:
            self.used_as_value = self._find_callees(strings, function)

    def certainly_calls(self, call: Call) -> bool:
        """Whether the call certainly calls the function."""
        return isinstance(call, cst.Call) and call.func in self._certain

    def may_call(self, call: Call) -> bool:
        """Whether the call certainly or possibly calls the function."""
        if self.certainly_calls(call):
            return True
        if call in self._sites.non_escaping_calls:
            return False
        given = [argument.value for argument in arguments_of(call)]
        if any(value is self._function or name_of(value) in self._names for value in given):
            return True
        if isinstance(call, cst.Call):
            given = [call.func]
            if self._name and name_of(call.func) == self._name:
                return not self._is_elsewhere(call.func)
            if self.is_looked_up_by_name and name_of(call.func) == "methodcaller":
                return True
        else:
            given = [one.value for one in (*call.bases, *call.keywords) if may_supply_constructor(one)]
        return self._may_mean_it(call, given) and not all(map(self._is_other, given))

    def _may_mean_it(self, call: Call, given: Sequence[cst.BaseExpression]) -> bool:
        """Whether one of these expressions (a callee, or bases) may have the function as its value."""
        if self.used_as_value is not None or isinstance(call, cst.ClassDef):
            return self.used_as_value is not None or self._owner is not None
        if self._owner is not None and any(self._sites.classes.may_be(one) for one in given):
            return True
        return self.is_looked_up_by_name and any(argument.keyword is not None for argument in call.args)

    def _is_elsewhere(self, called: cst.BaseExpression) -> bool:
        """Whether `super().name` or `Other.__init__` certainly means the method of another class."""
        if self._owner is None or not isinstance(called, cst.Attribute):
            return False
        if isinstance(called.value, cst.Call) and name_of(called.value.func) == "super":
            scope = self._variables.scopes.get(called.value)
            class_ = class_of(scope) if scope is not None else None
            return class_ is not None and not self._may_derive_from_owner(class_)
        return isinstance(called.value, cst.Name) and self._is_other(called.value)

    def _may_derive_from_owner(self, class_: cst.ClassDef) -> bool:
        """Whether a class of the file, or a subclass of it, may have the function's class as a base."""
        names = {name_of(base.value) for base in class_.bases}
        classes = self._variables.of_type(cst.ClassDef)
        subclasses = [
            one for one in classes if any(name_of(base.value) == class_.name.value for base in one.bases)
        ]
        if self._owner is None or self._owner.name.value in names:
            return True
        parents = [one for one in classes if one.name.value in names and one is not class_]
        return any(self._may_derive_from_owner(one) for one in parents) or any(
            len(one.bases) > 1 for one in subclasses
        )

    def mismatched_call(self, *, methods: bool = False) -> cst.Call | None:
        """A call of the function whose arguments do not fit its parameters, None if there is none.

        With `methods`, calls of a method with its name on any object and calls of its class count, too.
        """
        parameters = self._function.params
        for call in self._sites.calls:
            if self.certainly_calls(call) and not _fits(call.args, parameters):
                return call
            is_named = isinstance(call.func, cst.Attribute) and call.func.attr.value == self._name
            is_made = self._owner is not None and name_of(call.func) == self._owner.name.value
            if methods and (is_made or (is_named and not self._certain)):
                given = cst.Arg(cst.Name("self"))
                if not (_fits(call.args, parameters) or _fits([given, *call.args], parameters)):
                    return call
        return None

    def _find_callees(self, strings: StringReferences, function: cst.FunctionDef) -> cst.CSTNode | None:
        """Find the names by which the function is called; returns a node that uses it as a value, or None."""
        variables, name = self._variables, self._name
        self._names = {name}
        scope = variables.scopes[function.name]
        assert scope is not None
        uses = self._uses(name, scope)
        if isinstance(scope, metadata.ClassScope):
            self._certain = set()  # the class of the object in a method call is not known
            self.is_looked_up_by_name = self._sites.looks_up_methods
        else:
            self._certain = uses if len(scope[name]) == 1 else set()  # with more bindings, any may be called
            self.is_looked_up_by_name = self._sites.looks_up_functions and isinstance(
                scope, metadata.GlobalScope
            )
        value = self._first(uses - self._non_escaping_uses)
        if value is None and self._sites.reads_attributes:
            value = strings.literal(name)
        value = value or opaque_decorator(variables, function)
        if isinstance(scope, metadata.ClassScope) and name in _CONSTRUCTORS:
            assert isinstance(scope.node, cst.ClassDef)
            self._owner = scope.node
            self._names |= variables.class_names
            value = value or (function if name == "__call__" else self._class_as_value(self._owner))
        return value

    def _first(self, nodes: set[cst.CSTNode]) -> cst.CSTNode | None:
        return min(nodes, key=lambda node: self._variables.occurrence(node).start, default=None)

    def _uses(self, name: str, scope: Scope) -> set[cst.CSTNode]:
        """The uses of a definition: names that refer to it, and for a method also attributes."""
        accesses = self._variables.accesses(name, scope)
        uses: set[cst.CSTNode] = {
            access.node for access in accesses if not (access.is_annotation or access.is_type_hint)
        }
        if isinstance(scope, metadata.ClassScope):
            attributes = self._variables.of_type(cst.Attribute)
            uses |= {node for node in attributes if node.attr.value == name}
        return uses

    def _class_as_value(self, owner: cst.ClassDef) -> cst.CSTNode | None:
        scope = self._variables.scopes[owner.name]
        assert scope is not None
        roots = {node.value for node in self._variables.of_type(cst.Attribute)}
        bases = {base.value for node in self._variables.of_type(cst.ClassDef) for base in node.bases}
        return self._first(self._uses(owner.name.value, scope) - self._non_escaping_uses - roots - bases)

    def _is_other(self, called: cst.BaseExpression, seen: frozenset[cst.ClassDef] = frozenset()) -> bool:
        """Whether the callee certainly is another one: a builtin, an import, or another definition."""
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
            return not _FORWARDING & {*names, name_of(called)}
        node = getattr(binding, "node", None)
        if isinstance(called, cst.Attribute):
            return False
        if isinstance(node, cst.FunctionDef):
            return node is not self._function
        return isinstance(node, cst.ClassDef) and self._is_class_other(node, seen)

    def _is_class_other(self, node: cst.ClassDef, seen: frozenset[cst.ClassDef]) -> bool:
        """Whether neither calling this class nor deriving from it can call the function."""
        if node is self._owner or node in seen or any(map(may_supply_constructor, node.keywords)):
            return False
        scope = self._variables.scopes[node.body.body[0]]
        assert scope is not None
        constructors = [one for name in _CONSTRUCTORS for one in scope.assignments[name]]
        if any(not isinstance(getattr(one, "node", None), cst.FunctionDef) for one in constructors):
            return False
        return all(not base.star and self._is_other(base.value, seen | {node}) for base in node.bases)


def _fits(arguments: Sequence[cst.Arg], parameters: cst.Parameters) -> bool:
    if any(argument.star for argument in arguments):
        return True
    by_place = [*parameters.posonly_params, *parameters.params]
    num_given = sum(argument.keyword is None for argument in arguments)
    named = [argument.keyword.value for argument in arguments if argument.keyword is not None]
    free = [
        *parameters.params[max(0, num_given - len(parameters.posonly_params)) :],
        *parameters.kwonly_params,
    ]
    takes = {one.name.value for one in free}
    missing = [one for one in (*by_place[num_given:], *parameters.kwonly_params) if one.default is None]
    has_place = num_given <= len(by_place) or isinstance(parameters.star_arg, cst.Param)
    has_names = set(named) <= takes or parameters.star_kwarg is not None
    is_given_twice = set(named) & {one.name.value for one in parameters.params} - takes
    return (
        has_place and has_names and not is_given_twice and {one.name.value for one in missing} <= set(named)
    )


def _only_called(variables: Variables, function: cst.Lambda) -> set[cst.CSTNode] | None:
    """The uses of a lambda's name if it has one of its own and every use is a call, else None."""
    for statement in variables.of_type(cst.Assign):
        target = statement.targets[0].target
        if statement.value is not function or len(statement.targets) > 1 or not isinstance(target, cst.Name):
            continue
        scope = variables.scopes[target]
        if scope is None or len(scope[target.value]) != 1 or isinstance(scope, metadata.ClassScope):
            return None
        uses = set[cst.CSTNode](one.node for one in variables.accesses(target.value, scope))
        return uses if uses <= {call.func for call in variables.of_type(cst.Call)} else None
    return None
