"""Renaming one variable everywhere it is meant, or saying why that is not safe.

Refused is what would change the meaning of the file, and what this file alone cannot tell: attributes, names
that strings may hold, parameters that are given by name to something that is not known here.
"""

import builtins
import keyword
from collections.abc import Iterator

import libcst as cst
from libcst import metadata

from incoder.errors import IncoderError
from incoder.tasks.compiled_scopes import difference
from incoder.tasks.edits import Edit, apply
from incoder.tasks.mentions import Mentions, keyword_arguments, names_of_call
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
        self._keywords = tuple(self._keyword_arguments())

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

    def _obstacles(self) -> Iterator[str]:
        variable = self.variable
        if variable.is_attribute:
            yield "it is an attribute of a class, and who uses that cannot be seen from here"
        if variable.name.startswith("__"):
            yield "names that begin with two underscores have meanings of their own"
        if variable.is_imported_as_it_is:
            yield f"it is imported by this name; import it with `as` first (line {variable.binding_lines[0]})"
        strings = Mentions(self._variables, variable.name)
        if variable.is_global and strings.exported:
            yield f"__all__ exports it (line {self._line(strings.exported)})"
        if variable.is_global and strings.literal and strings.is_read_by_name:
            yield f"a string may mean it (line {self._line(strings.literal)})"
        scopes = {variable.scope, *(access.scope for access in self.variable.accesses)}
        for call, scope in strings.readers:
            if scope in scopes:
                yield f"variables are read by name (line {self._line(call)})"

    def _keyword_arguments(self) -> Iterator[Occurrence]:
        """The parameter's name in calls of its function.

        Raises:
            IncoderError: a call that may be of this function gives it by name.
        """
        function = self.variable.function
        if function is None:
            return
        called, doubtful = self._callee(function)
        for call, argument in keyword_arguments(self._variables, self.variable.name):
            assert argument.keyword is not None
            if call.func in called:
                yield self._variables.occurrence(argument.keyword)
            elif doubtful & {*names_of_call(call)}:
                raise IncoderError(
                    f"{self.variable.name} of {self.variable.where} cannot be renamed safely: a call that "
                    f"may be of {function.name.value} gives it by name (line {self._line(call)})"
                )

    def _callee(self, function: cst.FunctionDef) -> tuple[set[cst.CSTNode], set[str]]:
        """The nodes that surely name the function in calls, and the names by which others may be meant."""
        name, scope = function.name.value, self._variables.scopes[function.name]
        assert scope is not None
        if isinstance(scope, metadata.ClassScope):
            is_made = name in ("__init__", "__new__", "__call__")
            return set(), {name} | (self._variables.class_names if is_made else set())
        if len(scope[name]) > 1:  # defined again: which one is called depends on the run
            return set(), {name}
        return {access.node for access in self._variables.accesses(name, scope)}, {name}

    def _line(self, node: cst.CSTNode) -> int:
        return self._variables.occurrence(node).line
