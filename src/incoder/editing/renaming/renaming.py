"""The renaming of one variable in all its occurrences, or the reason why it is not safe.

The occurrences are exact; the compiler's symbol tables and the syntax tree are both compared to check them.
Anything else that may know the variable by its name is a risk (risk_detector.py). A renaming with a risk is
refused, unless the caller forces it. A new name that would change a meaning is always an error.
"""

import ast
import builtins
import keyword
import unicodedata
from collections.abc import Iterator, Sequence

import libcst as cst

from incoder.editing.edits import Edit, apply_edits
from incoder.editing.python_source import PythonSource, python_syntax_error
from incoder.editing.renaming import parameter_docs
from incoder.editing.renaming.call_sites import named_arguments
from incoder.editing.renaming.calls import Calls
from incoder.editing.renaming.decorators import is_found_by_name
from incoder.editing.renaming.risk import Risk
from incoder.editing.renaming.risk_detector import RiskDetector
from incoder.editing.renaming.string_references import StringReferences
from incoder.editing.renaming.symbol_table_check import difference
from incoder.editing.renaming.syntax_tree_check import unintended_change
from incoder.editing.renaming.variables import Occurrence, Variable, Variables
from incoder.errors import IncoderError


class Renaming:
    """The renaming of one variable; it knows nothing of models.

    `detector` can be shared by the renamings of a file. `others` are risks from other files. The attribute
    `risks` has all risks; with `force` they do not stop the renaming.

    Raises:
        IncoderError: the variable is an attribute of a class, or there is a risk and `force` is not set.

    >>> source = PythonSource("def f(x):\\n    return x\\n")
    >>> variables = Variables(source)
    >>> renaming = Renaming(source, variables, variables.named("x")[0])
    >>> apply_edits(source.text, renaming.edits("size"))
    'def f(size):\\n    return size\\n'
    """

    def __init__(
        self,
        source: PythonSource,
        variables: Variables,
        variable: Variable,
        *,
        force: bool = False,
        detector: RiskDetector | None = None,
        others: Sequence[Risk] = (),
    ) -> None:
        self._source = source
        self._variables = variables
        self.variable = variable
        if variable.is_attribute:
            raise IncoderError(
                f"{variable.name} of {variable.where} cannot be renamed: it is an attribute of a class, "
                "whose uses cannot be seen; this command renames variables, parameters and functions"
            )
        detector = detector or RiskDetector(variables)
        self.risks = tuple(dict.fromkeys((*detector.risks(variable), *others)))
        if self.risks and not force:
            more = f", and {len(self.risks) - 1} more" if len(self.risks) > 1 else ""
            raise IncoderError(
                f"{variable.name} of {variable.where} cannot be renamed safely: {self.risks[0]}{more}; "
                "--force renames it all the same"
            )
        function = variable.function
        self._calls = detector.calls(function) if function is not None else None
        self._keywords = tuple(self._keyword_arguments(self._calls)) if self._calls is not None else ()
        self._strings = detector.string_annotations.references(variable).places
        self._docs = tuple(self._documented())

    def edits(self, new: str) -> tuple[Edit, ...]:
        """The edits that rename the variable, its keyword arguments, string annotations and docstrings."""
        places = {*self.variable.occurrences, *self._keywords, *self._strings, *self._docs}
        return tuple(Edit(place.start, place.end, new) for place in sorted(places, key=lambda one: one.start))

    def problem(self, new: str) -> str | None:
        """The reason why the variable cannot have this name, None if it can."""
        return self._bad_name(new) or self._clash(new) or self._wrong_result(new)

    @property
    def caveats(self) -> list[str]:
        """Notes on the risks that `force` overruled, and on uses in other programs."""
        name, forced = self.variable.name, [f"not safe: {risk}" for risk in self.risks]
        if self.variable.is_global:
            return [*forced, f"other programs that use {name} are not changed"]
        if self.variable.function is not None and not self.variable.is_first_of_method:
            return [*forced, f"calls in other programs that give {name} by name are not changed"]
        return forced

    def _bad_name(self, new: str) -> str | None:
        if not new.isidentifier():
            return f"{new!r} is no name"
        if unicodedata.normalize("NFKC", new) != new:
            return f"Python reads {new} as {unicodedata.normalize('NFKC', new)}; give that"
        if keyword.iskeyword(new):
            return f"{new} is a keyword"
        if new == self.variable.name:
            return f"it is called {new} already"
        if new.startswith("__"):
            return f"names such as {new} have meanings of their own"
        if new in vars(builtins):
            return f"{new} would hide the builtin {new}"
        if self.variable.is_global and is_found_by_name(new):
            return f"pytest and unittest would find {new} by its name"
        return None

    def _clash(self, new: str) -> str | None:
        line = self._taken(new)
        if line is not None:
            return f"{new} already means something there (line {line})"
        line = self._collected(new)
        if line is not None:
            return f"a call that may be of {self._called} gives another {new} by name (line {line})"
        node = StringReferences(self._variables).code(new) if self.variable.is_global else None
        if node is not None:
            return f"a string may mean another {new} (line {self._variables.occurrence(node).line})"
        return None

    def _wrong_result(self, new: str) -> str | None:
        """The error if the renamed text differs from the original by more or less than the name."""
        old, text = self.variable.name, apply_edits(self._source.text, self.edits(new))
        error = python_syntax_error(text)
        if error:
            return f"does not parse: {error}"
        lines = {place.line for place in (*self._strings, *self._docs)}
        if self.risks:  # f-strings that show the name are among them
            strings = [node for node in ast.walk(self._source.tree) if isinstance(node, ast.JoinedStr)]
            lines |= {part.lineno for node in strings for part in node.values}
        changed = unintended_change(
            self._source.tree,
            PythonSource(text).tree,
            old,
            new,
            num_keywords=len(self._keywords),
            string_lines=lines,
        )
        return changed or difference(self._source.text, text, old, new)

    def _taken(self, new: str) -> int | None:
        """The line of a binding of the new name that would shadow the variable, or be shadowed by it."""
        bindings = [binding for scope in self.variable.scopes for binding in scope[new]]
        nodes = [
            node for binding in bindings if isinstance(node := getattr(binding, "node", None), cst.CSTNode)
        ]
        return min((self._variables.occurrence(node).line for node in nodes), default=None)

    def _collected(self, new: str) -> int | None:
        """The line of a call with a keyword of this name that the function's `**` parameter collects."""
        function = self.variable.function
        if self._calls is None or function is None or function.params.star_kwarg is None:
            return None
        for call, argument in named_arguments(self._variables):
            is_named = argument.keyword is not None and argument.keyword.value == new
            if is_named and self._calls.may_call(call):
                return self._variables.occurrence(call).line
        return None

    def _keyword_arguments(self, calls: Calls) -> Iterator[Occurrence]:
        """The parameter's name as a keyword in the calls that certainly call its function."""
        for call, argument in named_arguments(self._variables):
            is_named = argument.keyword is not None and argument.keyword.value == self.variable.name
            if is_named and argument.keyword is not None and calls.certainly_calls(call):
                yield self._variables.occurrence(argument.keyword)

    def _documented(self) -> Iterator[Occurrence]:
        """The parameter's name in docstrings; nothing if the program reads docstrings."""
        function = getattr(self.variable.scope, "node", None) if self.variable.is_parameter else None
        if not isinstance(function, cst.FunctionDef) or parameter_docs.reads_docstrings(self._source):
            return
        line = self._variables.occurrence(function.name).line
        for named in self._source.definitions:
            if named.node.name == function.name.value and named.node.lineno == line:
                for start, end, first in parameter_docs.references(self._source, named, self.variable.name):
                    yield Occurrence(start, end, first)

    @property
    def _called(self) -> str:
        function = self.variable.function
        return function.name.value if isinstance(function, cst.FunctionDef) else "the lambda"
