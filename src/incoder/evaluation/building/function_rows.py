"""Make a benchmark's row from a function; the result is None if the function does not fit the benchmark.

The constructions are the paper's (sections 4.2 to 4.5); each docstring says what the paper leaves open.
"""

import ast
import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from incoder.editing.edits import Edit, apply_edits
from incoder.editing.python_source import PythonSource
from incoder.editing.renaming.variables import Variables
from incoder.errors import IncoderError
from incoder.evaluation.building.functions import FoundFunction, is_method_stub

Row = Mapping[str, Any]
BuildRow = Callable[[FoundFunction, Random], Row | None]

_MIN_NAME = 4  # characters of a variable's name, as in the paper
_MIN_OCCURRENCES, _MAX_OCCURRENCES = 2, 200
_MIN_DOCSTRING_WORDS = 3
_HOLE = "\0"  # no source file has this character


def return_type(function: FoundFunction, _: Random) -> Row | None:
    """Make a row of a function with a return annotation, without its other annotations."""
    node, source = function.node, function.source
    if node.returns is None:
        return None
    gold = ast.unparse(node.returns)
    if isinstance(node.returns, ast.Constant) and isinstance(node.returns.value, str):
        gold = node.returns.value
    edits = [Edit(source.start(node.returns), source.end(node.returns), _HOLE)]
    arguments = node.args
    every = [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ]
    for argument in every:
        if argument is not None and argument.annotation is not None:
            end = source.start(argument) + len(argument.arg)
            edits.append(Edit(end, source.end(argument.annotation), ""))
    for inner in ast.walk(node):
        if isinstance(inner, ast.AnnAssign):
            edits.append(Edit(source.end(inner.target), source.end(inner.annotation), ""))
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and inner is not node:
            return None  # annotations of inner functions would give the answer away
    prefix, found, suffix = apply_edits(source.text, edits).partition(_HOLE)
    if not found or not re.match(r"\s*:", suffix) or not prefix.rstrip(" ").endswith("->"):
        return None
    returns = [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return) and inner.value]
    return {
        "task_id": function.key,
        "project": function.project,
        "prefix": prefix,
        "suffix": suffix,
        "return_type": gold,
        "returns_value": any(not _is_none(value) for value in returns),
    }


def variable_name(function: FoundFunction, random: Random) -> Row | None:
    """Draw one variable of a function from its parameters and locals of four characters or more."""
    stored = {
        inner.id
        for inner in ast.walk(function.node)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
    }
    names = sorted(
        {*stored, *(argument.arg for argument in function.node.args.args)} - {"self", "cls"},
    )
    names = [name for name in names if len(name) >= _MIN_NAME]
    random.shuffle(names)
    for name in names:
        places = _occurrences(function.source, name)
        if places and _MIN_OCCURRENCES <= len(places) <= _MAX_OCCURRENCES:
            text = apply_edits(function.source.text, [Edit(start, end, _HOLE) for start, end in places])
            parts = text.split(_HOLE)
            if name not in "".join(parts):  # in comments and strings it would give the answer away
                task = {"task_id": f"{function.key}:{name}", "project": function.project}
                return {**task, "parts": parts, "variable": name}
    return None


def docstring(function: FoundFunction, _: Random) -> Row | None:
    """Make a row of a function and the words of its docstring's first paragraph, in CodeXGLUE's fields."""
    text = ast.get_docstring(function.node)
    if not text or is_method_stub(function.node):
        return None
    words = re.findall(r"\w+|[^\w\s]", text.split("\n\n")[0])
    if len(words) < _MIN_DOCSTRING_WORDS or not text.isascii():
        return None
    return {
        "repo": function.project,
        "path": function.path,
        "func_name": function.name,
        "url": function.key,
        "code": function.source.text,
        "docstring_tokens": words,
    }


def cloze(function: FoundFunction, random: Random) -> Row | None:
    """Make a row of a function and one of its calls of `max` or `min`, drawn at random."""
    source = function.source
    calls = [
        (source.start(inner.func), inner.func.id)
        for inner in ast.walk(function.node)
        if isinstance(inner, ast.Call)
        and isinstance(inner.func, ast.Name)
        and inner.func.id in ("max", "min")
    ]
    if not calls:
        return None
    start, answer = random.choice(sorted(calls))
    task = {"task_id": function.key, "project": function.project, "answer": answer}
    return {**task, "prefix": source.text[:start], "suffix": source.text[start + len(answer) :]}


BUILDERS: dict[str, BuildRow] = {
    "return-types": return_type,
    "variable-names": variable_name,
    "docstrings": docstring,
    "cloze": cloze,
}


def _occurrences(source: PythonSource, name: str) -> list[tuple[int, int]]:
    """All occurrences of a variable; empty unless it is a local and the only variable with its name."""
    try:
        found = Variables(source).named(name)
    except IncoderError:
        return []
    if len(found) != 1 or found[0].is_global or found[0].is_attribute:
        return []
    return sorted((place.start, place.end) for place in found[0].occurrences)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
