"""Type annotations of Python: proposed for returns, parameters and variables, with the imports they need.

What the code tells for certain is not asked: a function that returns no value returns None, and a parameter
whose default is None admits it. A type checker may reject candidates.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import PurePath

from incoder.tasks.annotations import Slot, admits_none, annotation_in, names_in, quoted
from incoder.tasks.candidates import Candidate, Change, ranked
from incoder.tasks.edits import Edit, apply, cut
from incoder.tasks.imports import TypeNames
from incoder.tasks.languages import UNNAMED_PYTHON, parse_problem
from incoder.tasks.model import Decoding, Model, fill
from incoder.tasks.python_source import PythonSource
from incoder.tasks.type_checker import TypeChecker

_STOPS = ("\n", ":", "=")


def write_annotations(
    model: Model,
    source: PythonSource,
    slots: Iterable[Slot],
    decoding: Decoding,
    *,
    checker: TypeChecker | None = None,
    path: PurePath = UNNAMED_PYTHON,
) -> Iterator[Change]:
    """One change for each slot, in their order, later ones seeing the earlier; then one for the imports.

    With a `checker`, a candidate with which it finds new errors is rejected, and the next one tried.

    Raises:
        IncoderError: the checker fails.
    """
    writer = _Writer(model, source, decoding, checker, path)
    for slot in slots:
        yield writer.annotated(slot)
    imports = writer.imports(())
    if imports:
        line = source.lines.number(imports[0].start)
        yield Change("imports", line, (Candidate(tuple(imports), 0.0, 0.0),))


class _Writer:
    """Keeps what was annotated so far: the edits, and the names that they use."""

    def __init__(
        self,
        model: Model,
        source: PythonSource,
        decoding: Decoding,
        checker: TypeChecker | None,
        path: PurePath,
    ) -> None:
        self._model = model
        self._source = source
        self._decoding = decoding
        self._checker = checker
        self._path = path
        self._names = TypeNames(source)
        self._edits: list[Edit] = []
        self._used: set[str] = set()

    def annotated(self, slot: Slot) -> Change:
        """The candidates for one slot; the best that can be used is kept."""
        candidates = ranked(self._candidates(slot))
        if self._checker is not None:
            candidates = ranked(self._checked(candidates, slot, self._checker))
        change = Change(str(slot), slot.line, candidates)
        for edit in change.edits:
            self._edits.append(edit)
            self._used |= names_in(slot.annotation(edit))
        return change

    def imports(self, more: Iterable[str]) -> list[Edit]:
        """The imports that everything so far and these names need."""
        return self._names.import_edits({*self._used, *more})

    def _candidates(self, slot: Slot) -> Iterator[Candidate]:
        if slot.returns_nothing:
            yield Candidate((slot.edit("None"),), 0.0, 0.0)
            return
        before, behind = cut(self._source.text, [(slot.start, slot.end)], self._edits)
        parts = [before + slot.before, slot.behind + behind]
        for filled in fill(self._model, parts, self._decoding, stop=_STOPS, path=self._path):
            annotation = annotation_in(filled.infills[0])
            problem = "is no type" if annotation is None else self._problem(slot, annotation)
            if annotation is not None and problem is None:
                annotation = self._fitted(slot, annotation)
            edit = slot.edit(annotation or filled.infills[0])
            if problem is None:
                problem = parse_problem(apply(self._source.text, [*self._edits, edit]), self._path)
            yield Candidate((edit,), filled.logprob, filled.total_logprob, problem)

    def _problem(self, slot: Slot, annotation: str) -> str | None:
        known, importable = self._names.is_known, self._names.module_of
        unknown = sorted(
            name
            for name in names_in(annotation)
            if self._names.is_hidden(name, slot.owner)
            or (not known(name, slot.owner) and not importable(name))
        )
        return f"there is no type {unknown[0]} there" if unknown else None

    def _fitted(self, slot: Slot, annotation: str) -> str:
        """The annotation as it can stand there: with the default, in quotes if it names what comes later."""
        is_none = isinstance(slot.default, ast.Constant) and slot.default.value is None
        if is_none and not admits_none(annotation):
            annotation += " | None"
        is_later = any(self._names.is_later(name, slot.start) for name in names_in(annotation))
        is_half_quoted = " | " in annotation and annotation.startswith(('"', "'"))
        if slot.is_evaluated and not self._names.is_deferred and (is_later or is_half_quoted):
            return quoted(annotation)
        return annotation

    def _checked(
        self, candidates: Iterable[Candidate], slot: Slot, checker: TypeChecker
    ) -> Iterator[Candidate]:
        """The candidates, rejected up to the first with which the checker finds nothing new."""
        is_found = False
        for candidate in candidates:
            if candidate.problem is not None or is_found:
                yield candidate
                continue
            (edit,) = candidate.edits
            imports = self.imports(names_in(slot.annotation(edit)))
            errors = checker.new_errors(apply(self._source.text, [*self._edits, edit, *imports]))
            is_found = not errors
            yield candidate.rejected(f"mypy: {errors[0]}") if errors else candidate
