"""What all editing commands share: the model, how changes are shown, and what goes wrong with them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import TYPE_CHECKING

import typer

from incoder.cli import options
from incoder.cli.console import print_note, progress, progress_bar, write_result
from incoder.cli.results import as_diff
from incoder.cli.source import STANDARD_INPUT, read_source, replace_source
from incoder.errors import IncoderError
from incoder.tasks.candidates import Change
from incoder.tasks.edits import apply
from incoder.tasks.languages import UNNAMED_PYTHON, require_python
from incoder.tasks.model import Decoding
from incoder.tasks.python_source import PythonSource
from incoder.tasks.selection import Selection

if TYPE_CHECKING:
    from incoder.inference.infill_model import InfillModel

_MAX_SHOWN = 200  # characters of another candidate's edit


def decoding(
    num_candidates: int, temperature: float, top_p: float, max_new_tokens: int, seed: int
) -> Decoding:
    """The settings of these options, checked before a model is loaded.

    Raises:
        typer.BadParameter: one is outside of its range.
    """
    options.sampling_params(
        None, temperature=temperature, top_p=top_p, max_new_tokens=max_new_tokens, seed=seed
    )
    return Decoding(num_candidates, temperature, top_p, None, max_new_tokens, seed)


def selection(
    lines: str | None,
    function: str | None,
    is_all: bool | None = None,
    *,
    others: int = 0,
    names: Sequence[str] = (),
) -> Selection:
    """What part of the file is meant, by exactly one option; a command may have others (`names`) for it.

    `is_all` is None where a command has no such option.

    Raises:
        typer.BadParameter: no option says it, more than one does, or the lines are none.
    """
    choices = ["--lines", "--function", *names, *(["--all"] if is_all is not None else [])]
    if (lines is not None) + (function is not None) + bool(is_all) + others != 1:
        raise typer.BadParameter(f"say what to work on with one of {', '.join(choices)}")
    try:
        return Selection.parse(lines, function, bool(is_all))
    except IncoderError as error:
        raise typer.BadParameter(str(error)) from error


def read_python(file: str, task: str) -> tuple[str, PurePath, PythonSource]:
    """The text of a Python file, the path that the model is told, and its syntax tree.

    Raises:
        IncoderError: it cannot be read, is another language, or does not parse.
    """
    path = UNNAMED_PYTHON if file == STANDARD_INPUT else PurePath(file)
    require_python(path, task)
    text = read_source(file)
    try:
        return text, path, PythonSource(text)
    except IncoderError as error:
        raise IncoderError(f"{file}: {error}") from error


def load_model(
    model: str, revision: str | None = None, device: str | None = None, dtype: str | None = None
) -> "InfillModel":
    """The model of this name, fetched if need be.

    Raises:
        IncoderError: there is no such model.
    """
    import incoder

    options.fetch(model, revision)
    with progress(f"loading {model} …"):
        return incoder.load(model, revision=revision, device=device, dtype=dtype)


def collect(task: str, total: int, changes: Iterable[Change]) -> list[Change]:
    """All the changes, counted on a terminal as they come."""
    collected = []
    with progress_bar(task, total) as count:
        for change in changes:
            collected.append(change)
            count()
    return collected


def deliver(
    file: str,
    model: str | None,
    text: str,
    changes: Sequence[Change],
    *,
    in_place: bool = False,
    diff: bool = False,
    json: bool = False,
    nothing_to_do: str | None = None,
) -> None:
    """Show or write the text with the best candidate of every change; with no changes, as it is.

    `nothing_to_do` is the reason why there are no changes.

    Raises:
        IncoderError: there is no candidate for any of the changes that can be used, or the file cannot be
            written; it is then left as it is.
    """
    new = apply(text, [edit for change in changes for edit in change.edits])
    note_candidates(changes)
    if json:
        write_result(as_json(file, model, new, changes))
    if changes and all(change.used is None for change in changes):
        tried = sum(len(change.candidates) for change in changes)
        none = "the only candidate cannot" if tried == 1 else f"none of the {tried} candidates can"
        raise IncoderError(
            f"{none} be used, so nothing was changed; try more (-n), another --seed, or another --model"
        )
    if in_place:
        if new != text:
            replace_source(file, old=text, new=new)
    elif not json:
        write_result(as_diff(file, text, new) if diff else new)
    if nothing_to_do:
        print_note(f"nothing to do: {nothing_to_do}")


def as_json(file: str, model: str | None, new: str, changes: Sequence[Change]) -> str:
    """One object: the new text, and every change with all its candidates (`used` counts them from 0)."""
    described = [
        {
            "place": change.place,
            "line": change.line,
            "used": change.candidates.index(change.used) if change.used else None,
            "candidates": [asdict(candidate) for candidate in change.candidates],
        }
        for change in changes
    ]
    return json.dumps({"file": file, "model": model, "text": new, "changes": described}) + "\n"


def note_candidates(changes: Sequence[Change]) -> None:
    """Say which places got nothing; of a single place show the candidates, where there are several."""
    for change in changes:
        if change.used is None:
            best = change.candidates[0] if change.candidates else None
            why = f"; the best is {_shown(best.edits[0].text)}: {best.problem}" if best and best.edits else ""
            where = "" if change.place.startswith("line") else f"line {change.line}: "
            print_note(f"{where}{change.place}: no candidate can be used{why}")
    if len(changes) != 1 or (len(changes[0].candidates) == 1 and changes[0].used):
        return
    for number, candidate in enumerate(changes[0].candidates, start=1):
        is_used = candidate is changes[0].used
        why = " (used)" if is_used else f" ({candidate.problem})" if candidate.problem else ""
        print_note(f"candidate {number}, mean log-probability {candidate.logprob:.3f}{why}")
        for text in dict.fromkeys(edit.text for edit in candidate.edits):
            print_note(f"    {_shown(text)}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + " …")
