"""The risks of renaming a variable: everything outside Python's scopes that may know it by its name.

A renaming without a risk does not change the behaviour of the program. The detector looks at one file;
project_references.py looks at the others.
"""

import builtins
import re
import unicodedata
from collections.abc import Iterator
from functools import cached_property

import libcst as cst
from libcst import matchers
from libcst.metadata.scope_provider import ComprehensionScope

from incoder.editing.renaming.call_sites import CallSites
from incoder.editing.renaming.calls import Calls
from incoder.editing.renaming.class_bodies import read_before_bound
from incoder.editing.renaming.decorators import (
    decorator_name,
    is_called_by_pytest,
    is_fixture,
    is_found_by_name,
    opaque_decorator,
    reference_in_decorators,
)
from incoder.editing.renaming.definite_assignment import DefiniteAssignment
from incoder.editing.renaming.dynamic_lookups import DynamicLookups
from incoder.editing.renaming.known_names import FUNCTION_NAME_READERS, OTHER_BUILTINS
from incoder.editing.renaming.overrides import override
from incoder.editing.renaming.risk import Kind, Risk
from incoder.editing.renaming.string_annotations import StringAnnotations
from incoder.editing.renaming.string_references import StringReferences
from incoder.editing.renaming.variables import Function, Occurrence, Variable, Variables, class_of

_NAME_ERRORS = matchers.Name("NameError") | matchers.Name("UnboundLocalError")
_ANY_ERRORS = _NAME_ERRORS | matchers.Name("Exception") | matchers.Name("BaseException")
_CALL_ERRORS = matchers.Name("TypeError") | matchers.Name("Exception") | matchers.Name("BaseException")
_WORD = re.compile(r"[^\W\d]\w*")


class RiskDetector:
    """Finds the risks of renaming the variables of one file; made once per file, used for each variable.

    >>> from incoder.editing.python_source import PythonSource
    >>> variables = Variables(PythonSource("def f(size):\\n    return eval('size')\\n"))
    >>> next(RiskDetector(variables).risks(variables.named("size")[0])).kind.value
    'variables are read by name'
    """

    def __init__(self, variables: Variables) -> None:
        self._variables = variables
        self._strings = StringReferences(variables)
        self.string_annotations = StringAnnotations(variables)
        self._lookups = DynamicLookups(variables)
        self._sites = CallSites(variables, looks_up_functions=self._lookups.module is not None)
        self._calls: dict[Function, Calls] = {}

    def calls(self, function: Function) -> Calls:
        """The calls of a function, found once."""
        if function not in self._calls:
            self._calls[function] = Calls(self._variables, self._sites, self._strings, function)
        return self._calls[function]

    def risks(self, variable: Variable) -> Iterator[Risk]:
        """All risks of renaming the variable, whatever its new name."""
        yield from self._by_kind(variable)
        yield from self._readers(variable)
        if variable.is_global:
            yield from self._about_global(variable)
        yield from self._about_annotations(variable)
        yield from self._about_definitions(variable)
        yield from self._about_decorators(variable)
        if variable.function is not None:
            yield from self._about_parameter(variable)
        yield from self._shown(variable)

    def _by_kind(self, variable: Variable) -> Iterator[Risk]:
        line = variable.binding_lines[0]
        if variable.name.startswith("__"):
            yield Risk(Kind.SPECIAL, "names that begin with two underscores have meanings of their own", line)
        if variable.name in self._spellings:
            spelled = self._spellings[variable.name]
            where = f"it is spelled {spelled} as well, which Python reads as the same name"
            yield Risk(Kind.SPECIAL, where, line)
        if variable.is_imported_as_it_is:
            yield Risk(Kind.IMPORT, "it is imported by this name; import it with `as` first", line)

    def _readers(self, variable: Variable) -> Iterator[Risk]:
        reader = self._lookups.reader(variable)
        if reader is not None:
            yield self._risk(Kind.READ_BY_NAME, f"variables are read by name: {reader.what}", reader.node)
        query = self._lookups.query(variable)
        if query is not None:
            yield self._risk(
                Kind.STRING, f"a call may evaluate a text that names it: {query.what}", query.node
            )

    def _about_global(self, variable: Variable) -> Iterator[Risk]:
        name, strings = variable.name, self._strings
        for star in self._variables.of_type(cst.ImportFrom):
            if isinstance(star.names, cst.ImportStar):
                yield self._risk(Kind.BUILTIN, "a star import may bring the name, or take it", star)
        if name in vars(builtins) or name in OTHER_BUILTINS:
            line = variable.binding_lines[0]
            yield Risk(Kind.BUILTIN, f"where it is not bound, {name} is the builtin", line)
        if is_found_by_name(name):
            yield Risk(Kind.PYTEST, "pytest and unittest find it by its name", variable.binding_lines[0])
        read = read_before_bound(self._variables, name)
        if read is not None:
            yield self._risk(
                Kind.CLASS_BODY, "a class body binds the name as well, and may read this one", read
            )
        exported = strings.exported(name)
        if exported is not None:
            yield self._risk(Kind.STRING, "__all__ exports it", exported)
        known = self.string_annotations.references(variable)
        renamed = {place.start for place in known.places}
        in_annotations = [
            node
            for node in self._variables.of_type(cst.SimpleString)
            if any(place.start <= start < place.end for place in [self._place(node)] for start in renamed)
        ]
        keyword = strings.literal(name) if not isinstance(strings.literal(name), cst.SimpleString) else None
        code = strings.code(name, [*known.data, *in_annotations]) or keyword
        if code is not None:
            yield self._risk(Kind.STRING, "a string may mean it", code)
        tested = strings.doctest(name, as_keyword=False)
        if tested is not None:
            yield self._risk(Kind.STRING, "a doctest uses it", tested)

    def _about_annotations(self, variable: Variable) -> Iterator[Risk]:
        for unclear in self.string_annotations.references(variable).unclear:
            yield self._risk(Kind.STRING, "a string in an annotation may mean it, or be data", unclear)

    def _about_definitions(self, variable: Variable) -> Iterator[Risk]:
        """Risks because functions and classes keep their names (`__name__`) and show them."""
        for node in variable.nodes:
            if isinstance(node, cst.ClassDef):
                where = "instances, errors and pickles show the name of their class"
                yield self._risk(Kind.CLASS, where, node.name)
            if isinstance(node, cst.FunctionDef):
                yield from self._about_function(node)

    def _about_function(self, function: cst.FunctionDef) -> Iterator[Risk]:
        if is_fixture(function):
            yield self._risk(Kind.PYTEST, "it is a fixture, and tests name it", function.name)
        decorator = opaque_decorator(self._variables, function)
        if decorator is not None:
            where = f"the decorator {decorator_name(decorator)} may keep the function's name"
            yield self._risk(Kind.DECORATOR, where, decorator)
        calls = self.calls(function)
        is_wrapper = any(decorator_name(one) == "wraps" for one in function.decorators)
        if calls.used_as_value is not None and not is_wrapper:
            where = "the function is used as a value, which knows its name (__name__)"
            yield self._risk(Kind.VALUE, where, calls.used_as_value)
        inner = matchers.findall(function.body, matchers.ClassDef())
        if inner:
            yield self._risk(Kind.SHOWN, "a class in it shows its name (__qualname__)", inner[0])
        shown = self._shows_functions
        if shown is not None:
            yield self._risk(Kind.SHOWN, "names of functions are read here", shown)
        call = calls.mismatched_call()
        if call is not None:
            yield self._risk(Kind.SHOWN, "this call does not fit the function, and its error names it", call)

    @cached_property
    def _shows_functions(self) -> cst.CSTNode | None:
        for node in self._variables.of_type(cst.Attribute):
            if node.attr.value in FUNCTION_NAME_READERS:
                return node
        for string in self._variables.of_type(cst.SimpleString):
            if (
                any(word in FUNCTION_NAME_READERS for word in _WORD.findall(string.value))
                and "__main__" not in string.value
            ):
                return string
        return None

    def _about_decorators(self, variable: Variable) -> Iterator[Risk]:
        scope = variable.scope
        function = getattr(scope, "node", None)
        if not isinstance(function, cst.FunctionDef):
            return
        is_given = variable.function is not None and not variable.is_first_of_method
        if is_given and is_called_by_pytest(function, class_of(scope)):
            name = function.name.value
            yield self._risk(Kind.PYTEST, f"pytest gives {name} what it names", function.name)
        mention = reference_in_decorators(function, variable.name)
        if mention is not None:
            yield self._risk(Kind.DECORATOR, "a decorator names it", mention)

    def _about_parameter(self, variable: Variable) -> Iterator[Risk]:
        function = variable.function
        assert function is not None
        if isinstance(function, cst.FunctionDef):
            decorator = opaque_decorator(self._variables, function)
            if decorator is not None:
                where = f"the decorator {decorator_name(decorator)} may read the names of parameters"
                yield self._risk(Kind.DECORATOR, where, decorator)
        signatures = self._lookups.signatures
        if variable.is_first_of_method:
            if signatures is not None:
                where = f"the names of parameters are read: {signatures.what}"
                yield self._risk(Kind.READ_BY_NAME, where, signatures.node)
            return
        if isinstance(function, cst.FunctionDef):
            found = override(self._variables, function, variable.scope)
            if found is not None:
                yield self._risk(*found)
        evaluation = self._lookups.evaluation
        if evaluation is not None:
            where = f"code is evaluated that may give it by name: {evaluation.what}"
            yield self._risk(Kind.READ_BY_NAME, where, evaluation.node)
        calls = self.calls(function)
        named = function.name.value if isinstance(function, cst.FunctionDef) else "the lambda"
        yield from self._about_calls(variable, calls, named)
        if calls.used_as_value is not None:
            where = f"{named} is used as a value; its callers cannot be seen"
            yield self._risk(Kind.VALUE, where, calls.used_as_value)
        if calls.is_looked_up_by_name and (key := self._strings.literal(variable.name)) is not None:
            where = f"a string may name it where {named} is looked up by its name"
            yield self._risk(Kind.STRING, where, key)
        given = self._strings.keyword(variable.name) if self._lookups.evaluates else None
        if given is not None:
            yield self._risk(Kind.STRING, "a string that may be evaluated gives it by name", given)
        tested = self._strings.doctest(variable.name, as_keyword=True)
        if tested is not None:
            yield self._risk(Kind.STRING, "a doctest gives it by name", tested)
        call = calls.mismatched_call(methods=bool(self._catching(_CALL_ERRORS)))
        if call is not None:
            where = f"this call does not fit {named}, and its error may name the parameter"
            yield self._risk(Kind.SHOWN, where, call)

    def _about_calls(self, variable: Variable, calls: Calls, named: str) -> Iterator[Risk]:
        for call, argument in self._sites.named:
            keyword = argument.keyword
            if (keyword is not None and keyword.value != variable.name) or not calls.may_call(call):
                continue
            if keyword is None:
                yield self._risk(Kind.KEYWORD, f"a call of {named} may give it in a dict", call)
            elif not calls.certainly_calls(call):
                yield self._risk(Kind.KEYWORD, f"a call that may be of {named} gives it by name", call)

    def _shown(self, variable: Variable) -> Iterator[Risk]:
        for shown in self._strings.shown(variable.name):
            if self._place(shown) in variable.occurrences:
                yield self._risk(Kind.SHOWN, "an f-string shows its name", shown)
        for handler in self._name_errors:
            if self._variables.scopes[handler] in variable.scopes:
                yield self._risk(Kind.SHOWN, "an error that is caught here may name it", handler)
        is_bound = variable.is_parameter or isinstance(variable.scope, ComprehensionScope)
        if self._keepers and not is_bound and self._definite_assignment.may_be_unbound(variable):
            where = "it may be unbound, and an error that is caught here would name it"
            yield self._risk(Kind.SHOWN, where, self._keepers[0])

    @cached_property
    def _spellings(self) -> dict[str, str]:
        """The spellings with compatibility characters, such as ligatures, by the name that Python reads."""
        text = self._variables.source.text
        words = set() if text.isascii() else set(_WORD.findall(text))
        read = {unicodedata.normalize("NFKC", word): word for word in words if not word.isascii()}
        return {name: word for name, word in read.items() if name != word}

    @cached_property
    def _name_errors(self) -> list[cst.ExceptHandler]:
        """The handlers that catch and keep a NameError, whose text names a variable."""
        return self._catching(_NAME_ERRORS)

    @cached_property
    def _keepers(self) -> list[cst.ExceptHandler]:
        """The handlers that catch and keep a NameError or any other error."""
        return self._catching(_ANY_ERRORS)

    @cached_property
    def _definite_assignment(self) -> DefiniteAssignment:
        return DefiniteAssignment(self._variables.source)

    def _catching(self, errors: matchers.OneOf[matchers.Name]) -> list[cst.ExceptHandler]:
        return [
            handler
            for handler in self._variables.of_type(cst.ExceptHandler)
            if handler.name is not None and handler.type is not None
            if matchers.findall(handler.type, errors)
        ]

    def _place(self, node: cst.CSTNode) -> Occurrence:
        return self._variables.occurrence(node)

    def _risk(self, kind: Kind, reason: str, node: cst.CSTNode) -> Risk:
        return Risk(kind, reason, self._place(node).line)
