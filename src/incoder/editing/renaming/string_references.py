"""References to names in strings: in `__all__`, in code, in dotted paths, in doctests, and in f-strings."""

import ast
import doctest
import re
import textwrap
from collections.abc import Iterable, Sequence
from functools import cached_property

import libcst as cst
from libcst import matchers

from incoder.editing.python_source import parsed_or_none
from incoder.editing.renaming.variables import Variables

_DICTS = ("dict", "OrderedDict", "defaultdict", "SimpleNamespace")  # they make strings of their keywords
_PATH = re.compile(r"[\w.]+(:[\w.]+)?")
_Text = cst.SimpleString | cst.ConcatenatedString


class StringReferences:
    """The strings of one file. Each method searches them for references to a name of some kind."""

    def __init__(self, variables: Variables) -> None:
        self._variables = variables

    def exported(self, name: str) -> cst.CSTNode | None:
        """The string in `__all__` that is the name."""
        return next((node for node in self._exports if node.evaluated_value == name), None)

    def literal(self, name: str) -> cst.CSTNode | None:
        """A string outside `__all__` that is the name, or a keyword from which `dict` makes that string."""
        return self._literals.get(name)

    def code(self, name: str, known: Iterable[cst.CSTNode] = ()) -> cst.CSTNode | None:
        """A string that contains the name if read as code, or as a path such as `module:name`.

        Docstrings and the strings in `known` are not searched.
        """
        ignored = {*known, *self._docstrings, *self._exports}
        found = (node for node, value in self._values if name in value and _is_code_with(value, name))
        return next((node for node in found if node not in ignored), None)

    def doctest(self, name: str, *, as_keyword: bool) -> cst.CSTNode | None:
        """A string with a doctest that uses the name, or with `as_keyword` has it as a keyword argument."""
        for node, value in self._values:
            if ">>>" in value and name in value and _is_in_doctest(value, name, as_keyword):
                return node
        return None

    def keyword(self, name: str) -> cst.CSTNode | None:
        """A string that has the name before a `=`, like a keyword argument."""
        given = re.compile(rf"(?<![\w.]){re.escape(name)}\s*=(?!=)")
        texts = ((part, part.value) for part in self._variables.of_type(cst.FormattedStringText))
        return next((node for node, value in (*self._values, *texts) if given.search(value)), None)

    def shown(self, name: str) -> Sequence[cst.Name]:
        """The occurrences of the name in f-strings that show the text of an expression: `{name=}`."""
        return [node for node in self._shown if node.value == name]

    @cached_property
    def _literals(self) -> dict[str, cst.CSTNode]:
        found: dict[str, cst.CSTNode] = {}
        for call in self._variables.of_type(cst.Call):
            if isinstance(call.func, cst.Name) and call.func.value in _DICTS:
                named = [argument.keyword for argument in call.args if argument.keyword is not None]
                found.update((keyword.value, keyword) for keyword in named)
        for node, value in self._values:
            if node not in self._exports:
                found.setdefault(value, node)
        return found

    @cached_property
    def _values(self) -> list[tuple[_Text, str]]:
        kinds: tuple[type[_Text], ...] = (cst.ConcatenatedString, cst.SimpleString)
        nodes = [node for kind in kinds for node in self._variables.of_type(kind)]
        return [(node, value) for node in nodes if isinstance(value := node.evaluated_value, str)]

    @cached_property
    def _shown(self) -> list[cst.Name]:
        found: list[cst.CSTNode] = []
        for node in self._variables.of_type(cst.FormattedStringExpression):
            if node.equal is not None:
                found += matchers.findall(node.expression, matchers.Name())
        return [node for node in found if isinstance(node, cst.Name)]

    @cached_property
    def _exports(self) -> set[cst.SimpleString]:
        found: set[cst.SimpleString] = set()
        for line in self._variables.of_type(cst.SimpleStatementLine):
            if _begins_with_all(line):
                strings = matchers.findall(line, matchers.SimpleString())
                found |= {one for one in strings if isinstance(one, cst.SimpleString)}
        return found

    @cached_property
    def _docstrings(self) -> set[cst.CSTNode]:
        """The strings that are statements, which are only documentation."""
        found: set[cst.CSTNode] = set()
        for statement in self._variables.of_type(cst.Expr):
            if isinstance(statement.value, _Text):
                found |= {statement.value, *matchers.findall(statement.value, matchers.SimpleString())}
        return found


def _is_code_with(value: str, name: str) -> bool:
    if _PATH.fullmatch(value.strip()):
        return name in re.split(r"[.:]", value.strip())
    tree = parsed_or_none(textwrap.dedent(value).strip())
    return tree is not None and any(_is_named(node, name) for node in ast.walk(tree))


def _is_named(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.ImportFrom | ast.Import):
        return any(name in (alias.name, alias.asname) for alias in node.names)
    return name in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None))


def _is_in_doctest(value: str, name: str, as_keyword: bool) -> bool:
    try:
        examples = doctest.DocTestParser().get_examples(value)
    except ValueError:  # badly indented, so doctest could not run it
        return False
    for example in examples:
        tree = parsed_or_none(example.source)
        nodes = list(ast.walk(tree)) if tree is not None else []
        if as_keyword and any(isinstance(node, ast.keyword) and node.arg == name for node in nodes):
            return True
        if not as_keyword and (name in example.want or any(_is_named(node, name) for node in nodes)):
            return True
    return False


def _begins_with_all(line: cst.SimpleStatementLine) -> bool:
    """Whether a statement changes `__all__`: `__all__ = …`, `__all__ += …`, `__all__.extend(…)`."""
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
