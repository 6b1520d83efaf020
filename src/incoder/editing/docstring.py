"""Docstrings of Python modules, classes and functions: write new ones, complete existing ones.

A new docstring is a template in the file's style, whose holes the model fills. An existing docstring keeps
every byte: missing sections are added, and its text is continued only if it breaks off within a sentence.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from incoder.editing.candidates import Change, EditCandidate, ranked
from incoder.editing.defaults import DOCSTRING
from incoder.editing.docstrings.draft import Draft, Target, draft, parameter_names
from incoder.editing.docstrings.prose import breaks_off, says_something, tidied
from incoder.editing.docstrings.style import Style, style_of
from incoder.editing.edits import Edit, apply_edits, cut
from incoder.editing.languages import UNNAMED_PYTHON, parse_problem
from incoder.editing.python_source import Definition, Function, PythonSource
from incoder.errors import IncoderError
from incoder.model_protocol import Model
from incoder.request import InfillRequest
from incoder.results import Candidate


def undocumented(source: PythonSource) -> list[Target]:
    """The definitions without a docstring, and the module if it has none.

    Functions inside functions and overloads need no docstring.

    None is the module.

    >>> [target and target.name for target in undocumented(PythonSource("def f(): ...\\n"))]
    [None, 'f']
    """
    definitions = [
        named
        for named in source.definitions
        if not any(isinstance(parent, Function) for parent in named.parents) and not _is_overload(named.node)
    ]
    targets: list[Target] = [None, *definitions]
    return [
        target for target in targets if not ast.get_docstring(source.tree if target is None else target.node)
    ]


def incomplete(source: PythonSource, targets: Iterable[Target], style: Style | None = None) -> list[Target]:
    """The targets whose docstring is missing, breaks off, or lacks a section of its style.

    Raises:
        IncoderError: a docstring consists of several literals.
    """
    style = style or style_of(source)
    return [target for target in targets if draft(source, target, style) is not None]


def write_docstrings(
    model: Model,
    source: PythonSource,
    targets: Iterable[Target],
    template: InfillRequest = DOCSTRING,
    *,
    style: Style | None = None,
    path: PurePath = UNNAMED_PYTHON,
) -> Iterator[Change]:
    """Write one change for each `incomplete` target, in order; the model sees the docstrings written so far.

    By default the style is that of the file's other docstrings.

    Raises:
        IncoderError: an existing docstring cannot be completed.
    """
    style = style or style_of(source)
    edits: list[Edit] = []
    for target in targets:
        planned = draft(source, target, style)
        if planned is None:
            continue
        parts = planned.parts(*cut(source.text, [(planned.start, planned.end)], edits))
        fills = model.run(template.for_parts(parts, stop=planned.stop, path=path)).candidates
        names = parameter_names(target)
        candidates = ranked(_candidate(source, planned, names, filled, edits, path) for filled in fills)
        name, line = (str(target), target.node.lineno) if target else ("module", 1)
        change = Change(f"docstring of {name}", line, candidates)
        edits += change.edits
        yield change


def _candidate(
    source: PythonSource,
    planned: Draft,
    names: Sequence[str],
    filled: Candidate,
    edits: Sequence[Edit],
    path: PurePath,
) -> EditCandidate:
    infills = [_finished(*fill) for fill in zip(filled.infills, filled.finish_reasons, strict=True)]
    words = [tidied(infill) for infill in infills]
    problem = None
    if not all(says_something(one) for one in words):
        problem = "says nothing, or has no end"
    elif any(breaks_off(one, names) for one in words):
        problem = "breaks off within a sentence"
    try:
        text = planned.written(infills)
    except IncoderError as error:
        text, problem = "", str(error)
    edit = Edit(planned.start, planned.end, text)
    problem = problem or parse_problem(apply_edits(source.text, [*edits, edit]), path)
    return EditCandidate((edit,), filled.logprob, filled.total_logprob, problem)


def _finished(infill: str, finish_reason: str) -> str:
    """The complete sentences of an infill that was cut off; any other infill unchanged."""
    if finish_reason not in ("length", "time"):
        return infill
    sentences = re.match(r".*[.!?](?=\s)", infill, re.DOTALL)
    return sentences[0] if sentences else ""


def _is_overload(node: Definition) -> bool:
    return any(ast.unparse(one).rpartition(".")[2] == "overload" for one in node.decorator_list)
