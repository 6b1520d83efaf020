"""Decorators that may read the names of a function or its parameters, and functions that pytest finds.

Pytest finds functions by their names and their decorators.
"""

import re

import libcst as cst

from incoder.editing.renaming.known_names import TEST_HOOKS, TRANSPARENT_DECORATORS
from incoder.editing.renaming.variables import Variables, name_of, nodes_within

_OF_PROPERTIES = ("setter", "getter", "deleter")


def is_transparent(variables: Variables, decorator: cst.Decorator) -> bool:
    """Whether a decorator passes every call on unchanged and reads no names."""
    node = called(decorator)
    if isinstance(node, cst.Attribute) and node.attr.value in _OF_PROPERTIES:
        return isinstance(node.value, cst.Name) and not isinstance(decorator.decorator, cst.Call)
    names = decorator_names(variables, decorator)
    return bool(names) and names <= TRANSPARENT_DECORATORS


def decorator_names(variables: Variables, decorator: cst.Decorator) -> set[str]:
    """The qualified names of a decorator, such as `functools.cache`; empty if they are not known."""
    scope = variables.scopes.get(decorator)
    return {one.name for one in scope.get_qualified_names_for(called(decorator))} if scope else set()


def called(decorator: cst.Decorator) -> cst.BaseExpression:
    """The expression of a decorator, without the arguments of its call."""
    node = decorator.decorator
    return node.func if isinstance(node, cst.Call) else node


def opaque_decorator(variables: Variables, function: cst.FunctionDef | cst.ClassDef) -> cst.Decorator | None:
    """The first decorator that is not transparent and so may read names, None if there is none."""
    return next((one for one in function.decorators if not is_transparent(variables, one)), None)


def is_fixture(function: cst.FunctionDef) -> bool:
    """Whether a function is a fixture: pytest passes its result to functions with a parameter of its name."""
    return any(decorator_name(one) == "fixture" for one in function.decorators)


def is_called_by_pytest(function: cst.FunctionDef, owner: cst.ClassDef | None) -> bool:
    """Whether a function is a test, a fixture or a hook: pytest passes their arguments by name.

    `owner` is the class of a method. Tests can be in a class with Test in its name, and in a derived class.
    """
    is_in_tests = owner is None or "Test" in owner.name.value or bool(owner.bases)
    return is_fixture(function) or (is_in_tests and is_found_by_name(function.name.value))


def is_found_by_name(name: str) -> bool:
    """Whether pytest or unittest finds a function or a module's variable by this name."""
    return name.startswith(("test", "pytest_")) or name in TEST_HOOKS


def decorator_name(decorator: cst.Decorator) -> str:
    """The last name of a decorator, called or not: `b` for `a.b` and `a.b()`."""
    return name_of(called(decorator))


def reference_in_decorators(function: cst.FunctionDef, name: str) -> cst.CSTNode | None:
    """The node of a decorator that has the name as a word of a string, or as a keyword; else None."""
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    for decorator in function.decorators:
        for node in nodes_within(decorator):
            if isinstance(node, cst.SimpleString) and word.search(node.value):
                return node
            if isinstance(node, cst.Arg) and node.keyword is not None and node.keyword.value == name:
                return node
    return None
