"""The calls of a file and their arguments, collected once for all functions of the file."""

from collections.abc import Iterable, Iterator

import libcst as cst
from libcst.metadata.scope_provider import BuiltinAssignment

from incoder.editing.renaming.class_values import ClassValues
from incoder.editing.renaming.known_names import POSITIONAL_CALLERS
from incoder.editing.renaming.variables import Variables, name_of

Call = cst.Call | cst.ClassDef  # a class statement calls a metaclass or `__init_subclass__`

# These look up attributes by strings.
_LOOKUPS = ("getattr", "hasattr", "setattr", "methodcaller", "attrgetter", "partialmethod", "object")
# These call their arguments by position, if at all, and do not keep them.
_KEEPING_NOTHING = ("sorted", "min", "max", "map", "filter", "isinstance", "issubclass", "super", "callable")


class CallSites:
    """The calls of one file, collected once for all its functions.

    `looks_up_functions` says that the file looks up functions of modules by names that are made at run time.
    A value escapes if code that is not seen here may keep it and call it. The arguments of
    `non_escaping_calls` do not escape, and `non_escaping_uses` only call or compare a value.
    """

    def __init__(self, variables: Variables, *, looks_up_functions: bool) -> None:
        self.calls = variables.of_type(cst.Call)
        self.non_escaping_calls = {call for call in self.calls if _keeps_no_argument(variables, call)}
        self.non_escaping_uses = set(_non_escaping_uses(variables, self.non_escaping_calls))
        self.looks_up_methods = any(_is_dynamic_attribute(call) for call in self.calls)
        self.looks_up_functions = looks_up_functions
        self.reads_attributes = looks_up_functions or any(name_of(one.func) in _LOOKUPS for one in self.calls)
        self.classes = ClassValues(variables)
        self.named = list(named_arguments(variables))


def named_arguments(variables: Variables) -> Iterator[tuple[Call, cst.Arg]]:
    """Yield the arguments that are passed by keyword (`name=…`) or from a dict (`**…`), with their calls."""
    calls: list[Call] = [*variables.of_type(cst.Call), *variables.of_type(cst.ClassDef)]
    for node in calls:
        for argument in arguments_of(node):
            is_own = isinstance(node, cst.ClassDef) and may_supply_constructor(argument)
            if argument.star == "**" or (argument.keyword is not None and not is_own):
                yield node, argument


def arguments_of(call: Call) -> tuple[cst.Arg, ...]:
    """The arguments of a call; for a class statement, its bases and keywords."""
    return (*call.args,) if isinstance(call, cst.Call) else (*call.bases, *call.keywords)


def may_supply_constructor(argument: cst.Arg) -> bool:
    """Whether a class may get its constructors from this argument: a base, a metaclass, or a dict."""
    return argument.keyword is None or argument.keyword.value == "metaclass"


def _keeps_no_argument(variables: Variables, call: cst.Call) -> bool:
    """Whether a call keeps none of its arguments, and calls them only by position: `sorted`, `….sort`."""
    if isinstance(call.func, cst.Attribute) and call.func.attr.value == "sort":
        return True
    scope, name = variables.scopes.get(call), name_of(call.func)
    if scope is None:
        return False
    if name in _KEEPING_NOTHING:
        return all(isinstance(binding, BuiltinAssignment) for binding in scope[name])
    if not any(known.endswith(f".{name}") for known in POSITIONAL_CALLERS):
        return False
    names = {one.name for one in scope.get_qualified_names_for(call.func)}
    return bool(names) and names <= POSITIONAL_CALLERS


def _non_escaping_uses(variables: Variables, non_escaping_calls: set[cst.Call]) -> Iterator[cst.CSTNode]:
    """Yield the nodes whose value is only called or compared, and not kept."""
    for call in variables.of_type(cst.Call):
        yield call.func
        if call in non_escaping_calls:
            yield from _elements(argument.value for argument in call.args)
    for decorator in variables.of_type(cst.Decorator):
        yield decorator.decorator
        if isinstance(decorator.decorator, cst.Attribute):  # the property of `@x.setter`
            yield decorator.decorator.value
    for comparison in variables.of_type(cst.Comparison):
        if all(isinstance(one.operator, cst.Is | cst.IsNot) for one in comparison.comparisons):
            yield comparison.left
            yield from (one.comparator for one in comparison.comparisons)
    for handler in variables.of_type(cst.ExceptHandler):
        yield from _elements([handler.type] if handler.type is not None else [])
    for statement in variables.of_type(cst.Raise):
        yield from [statement.exc] if statement.exc is not None else []


def _elements(nodes: Iterable[cst.BaseExpression]) -> Iterator[cst.CSTNode]:
    for node in nodes:
        yield from (element.value for element in node.elements) if isinstance(node, cst.Tuple) else [node]


def _is_dynamic_attribute(call: cst.Call) -> bool:
    """Whether a call looks up an attribute by a name that is not a literal."""
    name = name_of(call.func)
    position = {"getattr": 1, "methodcaller": 0, "attrgetter": 0}.get(name)
    if position is None or len(call.args) <= position:
        return False
    return not isinstance(call.args[position].value, cst.SimpleString)
