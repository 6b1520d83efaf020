"""References to a module's variable in other files of its project, as risks.

The module is recognised by its name alone: `from shapes import area`, `shapes.area` and `"shapes:area"`. A
parameter of `area` is referenced by every `area(…, radius=…)` in a file that does not define `area`.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath

import libcst as cst

from incoder.editing.python_source import Definition, parsed_or_none
from incoder.editing.renaming.risk import Kind, Risk
from incoder.editing.renaming.variables import Variable, class_of


def project_references(variable: Variable, path: PurePath, others: Mapping[str, str]) -> Iterator[Risk]:
    """Yield a risk for each other file that uses the variable.

    `path` is the variable's own file, and `others` are the texts of the project's other files by name. In
    files of other languages than Python, only `module:name` counts as a reference.
    """
    module = path.parent.name if path.stem == "__init__" else path.stem
    called = _called(variable)
    if not (variable.is_global or called):
        return
    word = re.compile(rf"\b{re.escape(variable.name)}\b")
    for name, text in others.items():
        if not word.search(text):
            continue
        line = None
        if not name.endswith(".py"):
            found = re.search(rf"\b{re.escape(module)}:{re.escape(variable.name)}\b", text)
            line = text.count("\n", 0, found.start()) + 1 if found and variable.is_global else None
        elif (tree := parsed_or_none(text)) is not None:
            line = _global_use(tree, variable.name, module) if variable.is_global else None
            line = line or _keyword(tree, variable.name, called)
        if line is not None:
            yield Risk(Kind.OTHER_FILES, f"{name} uses it (its line {line})", 0)


def _called(variable: Variable) -> set[str]:
    """The names by which the function of a parameter is called; empty for any other variable."""
    function = variable.function
    if not isinstance(function, cst.FunctionDef) or variable.is_first_of_method:
        return set()
    owner = class_of(variable.scope)
    is_constructor = owner is not None and function.name.value in ("__init__", "__new__")
    return {function.name.value, owner.name.value} if is_constructor and owner else {function.name.value}


def _global_use(tree: ast.AST, name: str, module: str) -> int | None:
    """The line that imports the name, or reads it as an attribute of the module."""
    known = {module}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        source = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names:
            if alias.name.rpartition(".")[2] == module:
                known.add(alias.asname or module)
            if source.rpartition(".")[2] == module and alias.name in (name, "*"):
                return node.lineno
    path = re.compile(rf"[\w.]*\b{re.escape(module)}[.:]{re.escape(name)}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == name and _last_name(node.value) in known:
            return node.lineno
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and path.fullmatch(node.value):
            return node.lineno
    return None


def _keyword(tree: ast.AST, name: str, called: set[str]) -> int | None:
    """The line of a call of one of these functions with this keyword; functions of the file do not count."""
    definitions = (node for node in ast.walk(tree) if isinstance(node, Definition))
    called = called - {node.name for node in definitions}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or all(one.arg != name for one in node.keywords):
            continue
        if called & {_last_name(one) for one in (node.func, *node.args)}:
            return node.lineno
    return None


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
