"""Overrides: methods that override another definition or are overridden, so that a call may reach either.

The methods of a base class from another file are not known; they may call a method by keyword.
"""

from collections.abc import Iterator

import libcst as cst
from libcst.metadata.scope_provider import BuiltinAssignment, ImportAssignment, Scope

from incoder.editing.renaming.call_sites import may_supply_constructor
from incoder.editing.renaming.decorators import decorator_names
from incoder.editing.renaming.known_names import PLAIN_BASES, PLAIN_CLASS_DECORATORS
from incoder.editing.renaming.risk import Kind
from incoder.editing.renaming.variables import Variables, class_of, name_of

_CONSTRUCTORS = ("__init__", "__new__", "__post_init__", "__replace__")

Found = tuple[Kind, str, cst.CSTNode]


def override(variables: Variables, function: cst.FunctionDef, scope: Scope) -> Found | None:
    """The reason why a call may reach another definition of the method, None if it is the only one."""
    owner, name = class_of(scope), function.name.value
    if owner is None or (name.startswith("__") and not name.endswith("__")):
        return None
    for decorator in owner.decorators:
        names = decorator_names(variables, decorator)
        if name in _CONSTRUCTORS or not names or not names <= PLAIN_CLASS_DECORATORS:
            reason = f"the decorator of {owner.name.value} may call {name} by keyword"
            return Kind.DECORATOR, reason, decorator
    for subclass in _subclasses(variables, owner):
        for one in _ancestors(variables, subclass):
            if isinstance(one, cst.Arg):
                base = name_of(one.value) or "a base"
                reason = f"{subclass.name.value} derives from {base}, which may have a method {name}"
                return Kind.OVERRIDE, reason, one
            definition = _definition(variables, one, name)
            if one is not owner and definition is not None:
                return Kind.OVERRIDE, f"{one.name.value} has a method {name} as well", definition
    return None


def _subclasses(variables: Variables, owner: cst.ClassDef) -> list[cst.ClassDef]:
    """The class and all its subclasses in the file."""
    classes = variables.of_type(cst.ClassDef)
    return [one for one in classes if one is owner or owner in _ancestors(variables, one)]


def _ancestors(variables: Variables, node: cst.ClassDef) -> Iterator[cst.ClassDef | cst.Arg]:
    """Yield the class, its base classes in the file, and its bases from other files."""
    waiting, seen = [node], set[cst.ClassDef]()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        yield one
        for base in (*one.bases, *one.keywords):
            found = _class(variables, base.value)
            if found is not None:
                waiting.append(found)
            elif may_supply_constructor(base) and not _is_plain(variables, base.value):
                yield base


def _class(variables: Variables, node: cst.BaseExpression) -> cst.ClassDef | None:
    root = node.value if isinstance(node, cst.Subscript) else node
    scope = variables.scopes.get(root)
    if not isinstance(root, cst.Name) or scope is None:
        return None
    found = [getattr(binding, "node", None) for binding in scope[root.value]]
    return found[0] if len(found) == 1 and isinstance(found[0], cst.ClassDef) else None


def _is_plain(variables: Variables, node: cst.BaseExpression) -> bool:
    root = node.value if isinstance(node, cst.Subscript) else node
    scope = variables.scopes.get(root)
    if scope is None or not isinstance(root, cst.Name | cst.Attribute):
        return False
    if isinstance(root, cst.Name):
        bindings = scope[root.value]
        if bindings and all(isinstance(one, BuiltinAssignment) for one in bindings):
            return True
        if not all(isinstance(one, ImportAssignment) for one in bindings):
            return False
    names = {one.name for one in scope.get_qualified_names_for(root)}
    return bool(names) and names <= PLAIN_BASES


def _definition(variables: Variables, owner: cst.ClassDef, name: str) -> cst.CSTNode | None:
    scope = variables.scopes[owner.body.body[0]]
    bindings = scope.assignments[name] if scope is not None else ()
    nodes = (getattr(binding, "node", None) for binding in bindings)
    return next((node for node in nodes if isinstance(node, cst.CSTNode)), None)
