"""Type annotations for the returns, parameters and variables of a Python file, with the imports they need.

The model is not asked if the code determines the type: a function that returns no value returns None, a
generator returns an Iterator, and a parameter with the default None allows None. A type checker may reject
candidates.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import PurePath

from incoder.editing.candidates import Change, EditCandidate, ranked
from incoder.editing.defaults import TYPES
from incoder.editing.edits import Edit, apply_edits, cut
from incoder.editing.languages import UNNAMED_PYTHON, parse_problem
from incoder.editing.python_source import PythonSource
from incoder.editing.types.annotations import (
    TypeReference,
    admits_none,
    annotation_in,
    is_half_quoted,
    names_in,
    outermost,
    quoted,
    references,
)
from incoder.editing.types.missing_annotations import MissingAnnotation
from incoder.editing.types.type_checker import TypeChecker
from incoder.editing.types.type_names import TypeNames
from incoder.model_protocol import Model
from incoder.request import InfillRequest

_STOPS = ("\n", ":", "=")
# Names of `typing` that qualify a type or make types, and are not types themselves.
_NO_TYPES = frozenset(
    (
        *("ClassVar", "Concatenate", "Final", "ForwardRef", "Generic", "NewType", "NotRequired", "ParamSpec"),
        *("Protocol", "ReadOnly", "Required", "TypeAlias", "TypeAliasType", "TypeVar", "TypeVarTuple"),
        *("TypedDict", "Unpack"),
    )
)
_NEED_ARGUMENTS = frozenset({"Annotated", "Literal", "Optional", "TypeGuard", "TypeIs", "Union"})
_ONLY_RETURNED = frozenset({"TypeGuard", "TypeIs"})


def write_annotations(
    model: Model,
    source: PythonSource,
    places: Iterable[MissingAnnotation],
    template: InfillRequest = TYPES,
    *,
    checker: TypeChecker | None = None,
    path: PurePath = UNNAMED_PYTHON,
) -> Iterator[Change]:
    """Propose one change for each missing annotation, in order, then one change for the imports.

    The model sees the annotations written so far. With a `checker`, a candidate that causes new type errors
    is rejected, and the next one is tried.

    Raises:
        IncoderError: the checker fails.
    """
    writer = _Writer(model, source, template, checker, path)
    for missing in places:
        yield writer.annotated(missing)
    imports = writer.imports(())
    if imports:
        line = source.lines.number(imports[0].start)
        yield Change("imports", line, (EditCandidate(tuple(imports), 0.0, 0.0),))


class _Writer:
    """Writes one annotation after another; it keeps the edits so far and the names that they use."""

    def __init__(
        self,
        model: Model,
        source: PythonSource,
        template: InfillRequest,
        checker: TypeChecker | None,
        path: PurePath,
    ) -> None:
        self._model = model
        self._source = source
        self._template = template
        self._checker = checker
        self._path = path
        self._names = TypeNames(source)
        self._edits: list[Edit] = []
        self._used: set[str] = set()

    def annotated(self, missing: MissingAnnotation) -> Change:
        """The candidates for one missing annotation; the edits of the one that is used are kept."""
        candidates = ranked(self._candidates(missing))
        if self._checker is not None:
            candidates = ranked(self._checked(candidates, missing, self._checker))
        change = Change(str(missing), missing.line, candidates)
        for edit in change.edits:
            self._edits.append(edit)
            self._used |= names_in(missing.annotation(edit))
        return change

    def imports(self, more: Iterable[str]) -> list[Edit]:
        """The imports that the annotations so far and these names need."""
        return self._names.import_edits({*self._used, *more})

    def _candidates(self, missing: MissingAnnotation) -> Iterator[EditCandidate]:
        can_name = bool(missing.generics) and self._names.is_standard(missing.generics[0], missing.owner)
        if missing.certain and (can_name or not missing.generics):
            yield EditCandidate((missing.edit(self._fitted(missing, missing.certain)),), 0.0, 0.0)
            return
        generic = missing.generics[0] if missing.is_iterator and can_name else ""
        opened, closed = (f"{generic}[", "]") if generic else ("", "")
        before, after = cut(self._source.text, [(missing.start, missing.end)], self._edits)
        parts = [before + missing.before + opened, closed + missing.after + after]
        for filled in self._model.run(
            self._template.for_parts(parts, stop=_STOPS, path=self._path)
        ).candidates:
            annotation = annotation_in(filled.infills[0])
            problem = "is no type"
            if annotation is not None:
                annotation = f"{opened}{annotation}{closed}"
                problem = self._problem(missing, annotation) or ""
            if annotation is not None and not problem:
                annotation = self._fitted(missing, annotation)
            edit = missing.edit(annotation or filled.infills[0])
            problem = (
                problem
                or parse_problem(apply_edits(self._source.text, [*self._edits, edit]), self._path)
                or ""
            )
            yield EditCandidate((edit,), filled.logprob, filled.total_logprob, problem or None)

    def _problem(self, missing: MissingAnnotation, annotation: str) -> str | None:
        known, importable = self._names.is_known, self._names.module_of
        unknown = sorted(
            name
            for name in names_in(annotation)
            if self._names.is_hidden(name, missing.owner)
            or (not known(name, missing.owner) and not importable(name))
        )
        if unknown:
            return f"there is no type {unknown[0]} there"
        misused = [one.name for one in references(annotation) if self._is_misused(one, missing)]
        if misused:
            return f"{misused[0]} is no type there"
        if missing.generics:
            whole = outermost(annotation)
            name = self._names.standard_name(whole.name, missing.owner) if whole else None
            if name not in (*missing.generics, "object"):
                return f"a generator returns an {missing.generics[0]} or a {missing.generics[1]}"
        return None

    def _is_misused(self, reference: TypeReference, missing: MissingAnnotation) -> bool:
        """Whether the reference uses a special name of `typing` in a way in which it is not a type."""
        name = self._names.standard_name(reference.name, missing.owner)
        return (
            name in _NO_TYPES
            or (name in _NEED_ARGUMENTS and reference.is_bare)
            or (name in _ONLY_RETURNED and missing.kind != "return")
            or (name == "Self" and not self._names.is_in_class(missing.owner))
        )

    def _fitted(self, missing: MissingAnnotation, annotation: str) -> str:
        """The annotation to write: with `| None` for the default None, in quotes if it names a later type."""
        is_none = isinstance(missing.default, ast.Constant) and missing.default.value is None
        if is_none and not admits_none(annotation):
            annotation += " | None"
        is_later = any(self._names.is_later(name, missing.start) for name in names_in(annotation))
        if missing.is_evaluated and not self._names.is_deferred and (is_later or is_half_quoted(annotation)):
            return quoted(annotation)
        return annotation

    def _checked(
        self, candidates: Iterable[EditCandidate], missing: MissingAnnotation, checker: TypeChecker
    ) -> Iterator[EditCandidate]:
        """Reject the candidates that cause new type errors, up to the first one that causes none."""
        is_found = False
        for candidate in candidates:
            if candidate.problem is not None or is_found:
                yield candidate
                continue
            (edit,) = candidate.edits
            imports = self.imports(names_in(missing.annotation(edit)))
            errors = checker.new_errors(apply_edits(self._source.text, [*self._edits, edit, *imports]))
            is_found = not errors
            yield candidate.rejected(f"rejected by mypy: {errors[0]}") if errors else candidate
