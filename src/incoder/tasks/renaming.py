"""Renaming one variable everywhere it is meant, or saying why that is not safe.

Refused is what would change the meaning of the file, and what this file alone cannot tell: attributes, names
that strings may hold, parameters that are given by name to something that is not known here.
"""

import builtins
import keyword
from collections.abc import Iterator

import libcst as cst

from incoder.errors import IncoderError
from incoder.tasks.compiled_scopes import difference
from incoder.tasks.edits import Edit, apply
from incoder.tasks.mentions import (
    Calls,
    Mentions,
    is_called_by_pytest,
    is_fixture,
    mention_in_decorators,
    named_arguments,
    shown_name,
)
from incoder.tasks.python_source import PythonSource, python_syntax_error
from incoder.tasks.variables import Occurrence, Variable, Variables


class Renaming:
    """The renaming of one variable; it knows nothing of models.

    Raises:
        IncoderError: this variable cannot be renamed safely, whatever the new name.
    """

    def __init__(self, source: PythonSource, variables: Variables, variable: Variable) -> None:
        self._source = source
        self._variables = variables
        self.variable = variable
        for reason in self._obstacles():
            raise IncoderError(f"{variable.name} of {variable.where} cannot be renamed safely: {reason}")
        self._calls = Calls(variables, variable.function) if variable.function is not None else None
        self._keywords = tuple(self._keyword_arguments(self._calls)) if self._calls is not None else ()

    def edits(self, new: str) -> tuple[Edit, ...]:
        """What renames the variable, keyword arguments in calls of its function included."""
        places = {*self.variable.occurrences, *self._keywords}
        return tuple(Edit(place.start, place.end, new) for place in sorted(places, key=lambda one: one.start))

    def problem(self, new: str) -> str | None:
        """Why this name cannot be taken, None where it can."""
        old = self.variable.name
        if not new.isidentifier():
            return f"{new!r} is no name"
        if keyword.iskeyword(new):
            return f"{new} is a keyword"
        if new == old:
            return f"{new} is the name that it has"
        if new.startswith("__"):
            return f"names such as {new} have meanings of their own"
        if new in vars(builtins):
            return f"{new} would hide the builtin {new}"
        line = self._taken(new)
        if line is not None:
            return f"{new} already means something there (line {line})"
        line = self._collected(new)
        if line is not None:
            return f"a call that may be of {self._called} gives another {new} by name (line {line})"
        text = apply(self._source.text, self.edits(new))
        error = python_syntax_error(text)
        return f"does not parse: {error}" if error else difference(self._source.text, text, old, new)

    @property
    def caveats(self) -> list[str]:
        """What one should look at in other files."""
        if self.variable.is_global:
            return [f"other files that use {self.variable.name} are not changed"]
        if self.variable.function is not None:
            return [f"calls in other files that give {self.variable.name} by name are not changed"]
        return []

    def _taken(self, new: str) -> int | None:
        """The line of a binding that would be hidden, or that would hide the variable where it is used."""
        scopes = {self.variable.scope, *(access.scope for access in self.variable.accesses)}
        bindings = [binding for scope in scopes for binding in scope[new]]
        nodes = [
            node for binding in bindings if isinstance(node := getattr(binding, "node", None), cst.CSTNode)
        ]
        return min((self._variables.occurrence(node).line for node in nodes), default=None)

    def _collected(self, new: str) -> int | None:
        """The line of a call that gives the function by this name what its `**` parameter collects."""
        function = self.variable.function
        if self._calls is None or function is None or function.params.star_kwarg is None:
            return None
        for call, argument in named_arguments(self._variables):
            is_named = argument.keyword is not None and argument.keyword.value == new
            if is_named and self._calls.may_be_of_it(call):
                return self._line(call)
        return None

    def _obstacles(self) -> Iterator[str]:
        variable = self.variable
        if variable.is_attribute:
            yield "it is an attribute of a class, and who uses that cannot be seen from here"
        if variable.name.startswith("__"):
            yield "names that begin with two underscores have meanings of their own"
        if variable.is_imported_as_it_is:
            yield f"it is imported by this name; import it with `as` first (line {variable.binding_lines[0]})"
        yield from self._names_that_are_told()
        read = self._variables.read_before_bound(variable.name) if variable.is_global else None
        if read is not None:
            yield f"a class body binds the name as well, and may read this one (line {self._line(read)})"
        strings = Mentions(self._variables, variable.name)
        if variable.is_global and strings.exported:
            yield f"__all__ exports it (line {self._line(strings.exported)})"
        if variable.is_global and strings.literal and strings.is_read_by_name:
            yield f"a string may mean it (line {self._line(strings.literal)})"
        scopes = {variable.scope, *(access.scope for access in self.variable.accesses)}
        for call, scope in strings.readers:
            if scope in scopes:
                yield f"variables are read by name (line {self._line(call)})"

    def _names_that_are_told(self) -> Iterator[str]:
        """Why something else than Python itself goes by the name."""
        variable, function = self.variable, self.variable.function
        for node in (getattr(binding, "node", None) for binding in variable.bindings):
            if isinstance(node, cst.FunctionDef) and is_fixture(node):
                yield f"it is a fixture, and tests name it (line {self._line(node.name)})"
        if isinstance(function, cst.FunctionDef):
            if is_called_by_pytest(function):
                yield f"pytest gives {self._called} what it names (line {self._line(function.name)})"
            told = mention_in_decorators(function, variable.name)
            if told is not None:
                yield f"a decorator names it (line {self._line(told)})"
        shown = shown_name(self._variables, variable.name)
        if shown is not None:
            place = self._variables.occurrence(shown)
            if place in variable.occurrences:
                yield f"an f-string shows its name (line {place.line})"

    def _keyword_arguments(self, calls: Calls) -> Iterator[Occurrence]:
        """The parameter's name in calls of its function.

        Raises:
            IncoderError: a call that may be of this function may give it by name.
        """
        name = self.variable.name
        for call, argument in named_arguments(self._variables):
            if argument.keyword is None:
                if calls.may_be_of_it(call):
                    raise self._unsafe(f"a call of {self._called} may give it in a dict", call)
            elif argument.keyword.value == name:
                if calls.is_of_it(call):
                    yield self._variables.occurrence(argument.keyword)
                elif calls.may_be_of_it(call):
                    raise self._unsafe(f"a call that may be of {self._called} gives it by name", call)
        literal = Mentions(self._variables, name).literal
        if literal is not None and calls.is_value:
            raise self._unsafe(f"a string may mean it where {self._called} is called", literal)

    @property
    def _called(self) -> str:
        function = self.variable.function
        return function.name.value if isinstance(function, cst.FunctionDef) else "the lambda"

    def _unsafe(self, reason: str, node: cst.CSTNode) -> IncoderError:
        variable = self.variable
        where = f"(line {self._line(node)})"
        return IncoderError(f"{variable.name} of {variable.where} cannot be renamed safely: {reason} {where}")

    def _line(self, node: cst.CSTNode) -> int:
        return self._variables.occurrence(node).line
