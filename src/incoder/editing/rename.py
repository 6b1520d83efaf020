"""New names for a Python variable: mask all its occurrences, fill them, and take the majority vote.

This follows the paper (section 4.4), with three choices of our own: an infill proposes the identifier with
which it begins, a tie goes to the first name, and a name is used only if it is safe and the model finds it
more probable than the present name.
"""

from collections.abc import Sequence
from pathlib import PurePath

from incoder.editing.candidates import Change, EditCandidate, ranked
from incoder.editing.defaults import RENAME
from incoder.editing.edits import cut
from incoder.editing.languages import UNNAMED_PYTHON
from incoder.editing.python_source import PythonSource
from incoder.editing.renaming.majority_vote import majority_vote
from incoder.editing.renaming.renaming import Renaming
from incoder.editing.renaming.variables import Variable, Variables
from incoder.editing.selection import Selection
from incoder.errors import IncoderError
from incoder.model_protocol import Model
from incoder.request import InfillRequest

_MAX_MASKS = 256  # the sentinels of the paper's vocabulary
# Characters that end a name; an infill stops at them, because later infills see it.
_STOPS = tuple(" \n()[]{}.,:;=+-*/%<>!&|^~@'\"#\\")


def find_variable(source: PythonSource, variables: Variables, name: str, selection: Selection) -> Variable:
    """The variable with this name that the selection binds, or else the one that it uses.

    Raises:
        IncoderError: there is no such variable, or more than one.

    >>> source = PythonSource("def area(r):\\n    return 3 * r * r\\n")
    >>> find_variable(source, Variables(source), "r", Selection(is_all=True)).where
    'area (line 1)'
    """
    known = variables.named(name)
    found = [
        one for one in known if any(selection.has(source, line, one.owner) for line in one.binding_lines)
    ]
    if not found:
        found = [
            one
            for one in known
            if any(selection.has(source, place.line, one.owner) for place in one.occurrences)
        ]
    listed = ", ".join(variable.where for variable in known)
    if not found:
        raise IncoderError(f"there is no variable {name} there, only in {listed}")
    if len(found) > 1:
        raise IncoderError(
            f"{name} is ambiguous: it is a variable of {', '.join(one.where for one in found)}; "
            "say which with --function, or with --lines"
        )
    return found[0]


def rename_to(renaming: Renaming, new: str) -> Change:
    """The change that renames the variable to `new`.

    Raises:
        IncoderError: the variable cannot have this name.

    >>> source = PythonSource("x = 1\\n")
    >>> variables = Variables(source)
    >>> renaming = Renaming(source, variables, variables.named("x")[0])
    >>> [edit.text for edit in rename_to(renaming, "count").edits]
    ['count']
    """
    problem = renaming.problem(new)
    variable = renaming.variable
    if problem:
        raise IncoderError(f"{variable.name} of {variable.where} cannot be called {new}: {problem}")
    return _change(variable, [EditCandidate(renaming.edits(new), 0.0, 0.0)])


def propose_names(
    model: Model,
    source: PythonSource,
    renaming: Renaming,
    template: InfillRequest = RENAME,
    *,
    path: PurePath = UNNAMED_PYTHON,
) -> Change | None:
    """Ask the model for names; returns a change with a candidate for each, the most probable first.

    The score of a name is the log-probability of the infills that have this name in all holes. Returns None
    if no proposed name is more probable than the present one.

    Raises:
        IncoderError: there are too many occurrences to mask.
    """
    variable = renaming.variable
    holes = [(place.start, place.end) for place in variable.occurrences]
    if len(holes) > _MAX_MASKS:
        raise IncoderError(
            f"{variable.name} of {variable.where} has {len(holes)} occurrences, at most {_MAX_MASKS} can be "
            "masked; give the name yourself with --to"
        )
    parts = cut(source.text, holes)
    candidates: list[EditCandidate] = []
    names: list[str] = []
    for filled in model.run(template.for_parts(parts, stop=_STOPS, path=path)).candidates:
        name = majority_vote(filled.infills)
        if name is None:
            problem = "proposes no name"
            candidates.append(EditCandidate((), filled.logprob, filled.total_logprob, problem))
        elif name not in names:
            names.append(name)
    if not names:
        return _change(variable, candidates)
    infills = [[name] * len(holes) for name in (variable.name, *names)]
    present, *scores = model.score_infills(parts, infills, path=path)
    for name, score in zip(names, scores, strict=True):
        refusal = renaming.problem(name)
        if refusal is None and score.total_logprob <= present.total_logprob:
            refusal = f"{name} is less probable than {variable.name}"
        candidates.append(
            EditCandidate(renaming.edits(name), score.mean_logprob, score.total_logprob, refusal)
        )
    is_present_best = all(score.total_logprob <= present.total_logprob for score in scores)
    return None if is_present_best else _change(variable, candidates)


def _change(variable: Variable, candidates: Sequence[EditCandidate]) -> Change:
    place = f"variable {variable.name} of {variable.owner or 'the module'}"
    return Change(place, variable.binding_lines[0], ranked(candidates))
