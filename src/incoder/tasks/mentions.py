"""Where a name may be meant without standing as a name: in strings, and as the keyword of a call."""

from collections.abc import Iterator

import libcst as cst
from libcst import matchers
from libcst.metadata import Scope

from incoder.tasks.variables import Variables

_READ_BY_NAME = ("globals", "vars", "eval", "exec", "getattr", "setattr", "delattr", "hasattr")
_READ_LOCALS = ("locals", "vars", "eval", "exec")


class Mentions:
    """What strings and calls tell of a name.

    `exported` is its string in `__all__`, `literal` any other string that is the name. `is_read_by_name`:
    something reads names from strings here; `readers` are the calls that read local ones, with their scopes.
    """

    def __init__(self, variables: Variables, name: str) -> None:
        self.exported: cst.SimpleString | None = None
        self.literal: cst.SimpleString | None = None
        self.is_read_by_name = False
        self.readers: list[tuple[cst.Call, Scope | None]] = []
        for node, scope in variables.scopes.items():
            if isinstance(node, cst.Call) and isinstance(node.func, cst.Name):
                called = node.func.value
                self.is_read_by_name |= called in _READ_BY_NAME
                if called in _READ_LOCALS and (called != "vars" or not node.args):
                    self.readers.append((node, scope))
            elif isinstance(node, cst.SimpleString) and node.evaluated_value == name:
                self.literal = node
            elif isinstance(node, cst.SimpleStatementLine) and _begins_with_all(node):
                strings = matchers.findall(node, matchers.SimpleString())
                for one in strings:
                    if isinstance(one, cst.SimpleString) and one.evaluated_value == name:
                        self.exported = one


def keyword_arguments(variables: Variables, name: str) -> Iterator[tuple[cst.Call, cst.Arg]]:
    """The calls that give an argument of this name."""
    for node in variables.scopes:
        if isinstance(node, cst.Call):
            for argument in node.args:
                if argument.keyword is not None and argument.keyword.value == name:
                    yield node, argument


def names_of_call(call: cst.Call) -> Iterator[str]:
    """By what names a call may call: what it calls, and what it is given (`partial(f, x=1)`)."""
    for node in (call.func, *(argument.value for argument in call.args)):
        if isinstance(node, cst.Name):
            yield node.value
        elif isinstance(node, cst.Attribute):
            yield node.attr.value


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
