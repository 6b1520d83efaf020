"""Rewrite lines until a command passes, or else until the file parses."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePath

from incoder.editing.candidates import Change, EditCandidate
from incoder.editing.defaults import FIX
from incoder.editing.edits import apply_edits
from incoder.editing.languages import is_python, parse_problem
from incoder.editing.lines import Lines
from incoder.editing.required_definitions import RequiredDefinition, required_definitions
from incoder.editing.rewrite import rewrite_lines
from incoder.editing.test_run.runner import Outcome
from incoder.model_protocol import Model
from incoder.request import InfillRequest

RunCommand = Callable[[str], Outcome]
NO_TRIES_LEFT = "was not tried: no tries are left"


@dataclass(slots=True)
class Budget:
    """The number of test runs that are left."""

    num_tries: int

    def take(self) -> bool:
        """Use one test run; returns False if none was left."""
        self.num_tries -= 1
        return self.num_tries >= 0


def fix(
    model: Model,
    text: str,
    spans: Iterable[tuple[int, int]],
    template: InfillRequest = FIX,
    *,
    run: RunCommand | None = None,
    max_tries: int = 20,
    function: str | None = None,
    path: PurePath | None = None,
) -> tuple[Change, ...]:
    """Rewrite the lines of one span after another, until one of them has a candidate that can be used.

    Returns a change for each span that was tried; only the last one may have a usable candidate. A single
    line stays one line. With `run`, a candidate can be used only if the user's command passes with it. Each
    test run counts as a try; a candidate with a problem of its own, for example one that does not parse, is
    not run. A candidate must keep the definition `function`, or else the definitions that the rest of the
    text uses.

    Raises:
        IncoderError: there is no definition with this name.
    """
    lines, budget, changes = Lines(text), Budget(max_tries), list[Change]()
    is_of_python = function is not None or (path is not None and is_python(path))
    must_parse = run is None or is_of_python or parse_problem(text, path) is None
    for start, end in spans:
        first, last = lines.number(start), lines.number(max(start, end - 1))
        required: tuple[RequiredDefinition, ...] = ()
        if is_of_python:
            required = required_definitions(text, (start, end), named=function, has_parameters=False)
        candidates = rewrite_lines(
            model,
            text,
            (start, end),
            template,
            is_one_line=first == last,
            must_parse=must_parse,
            required=required,
            path=path,
        )
        if run is not None:
            candidates = _tested(candidates, text, run, budget)
        changes.append(
            Change(f"lines {first}:{last}" if first < last else f"line {first}", first, candidates)
        )
        if changes[-1].used is not None or budget.num_tries <= 0:
            break
    return tuple(changes)


def _tested(
    candidates: Iterable[EditCandidate], text: str, run: RunCommand, budget: Budget
) -> tuple[EditCandidate, ...]:
    """Reject the candidates with which the command fails, up to the first one with which it passes."""
    tested, passed = list[EditCandidate](), False
    for candidate in candidates:
        if candidate.problem is None and not passed:
            if not budget.take():
                tested.append(candidate.rejected(NO_TRIES_LEFT))
                continue
            failure = run(apply_edits(text, candidate.edits)).failure
            passed = failure is None
            tested.append(candidate.rejected(failure) if failure else candidate)
        else:
            tested.append(candidate)
    return tuple(tested)
