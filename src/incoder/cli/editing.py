"""The parts that all editing commands share: loading the model, showing changes, reporting failures."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incoder.cli import batch, options
from incoder.cli.batch import Edited, Output
from incoder.cli.console import print_note, progress, progress_bar
from incoder.cli.source import STANDARD_INPUT, read_source
from incoder.cli.upstream import is_upstream, load_upstream_model
from incoder.editing.candidates import Change
from incoder.editing.edits import apply_edits
from incoder.editing.languages import UNNAMED_PYTHON, require_python
from incoder.editing.python_source import PythonSource
from incoder.editing.selection import Selection
from incoder.errors import IncoderError

if TYPE_CHECKING:
    from incoder.inference.prompting_model import PromptingModel

PythonFiles = Annotated[
    list[str],
    typer.Argument(
        help="Python files, folders (in a checkout what git lists there), or - for standard input.",
        metavar="FILE",
        show_default=False,
    ),
]
_MAX_SHOWN = 200  # characters of another candidate's edit


def selection(
    lines: str | None,
    function: str | None,
    is_all: bool | None = None,
    *,
    others: int = 0,
    names: Sequence[str] = (),
) -> Selection:
    """Return the part of the file that exactly one option selects; a command may have more of them (`names`).

    `is_all` is None if a command has no option --all.

    Raises:
        typer.BadParameter: no option selects a part, several do, or the lines are not a range.
    """
    choices = ["--lines", "--function", *names, *(["--all"] if is_all is not None else [])]
    if (lines is not None) + (function is not None) + bool(is_all) + others != 1:
        raise typer.BadParameter(f"say what to work on with one of {', '.join(choices)}")
    try:
        return Selection.parse(lines, function, bool(is_all))
    except IncoderError as error:
        raise typer.BadParameter(str(error)) from error


def read_python(file: str, task: str) -> tuple[str, PurePath, PythonSource]:
    """Read a Python file: its text, the path to show to the model, and its syntax tree.

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
    model: str,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    infilling_format: str | None = None,
    adapter: Path | None = None,
) -> "PromptingModel":
    """Load the model of this name, fetched if necessary; a note says when its forward pass is compiled.

    For the URL of a server, the model that runs there; notes say what the server cannot do.

    Raises:
        IncoderError: there is no such model.
    """
    if is_upstream(model):
        if any(one is not None for one in (revision, device, dtype, adapter)):
            raise typer.BadParameter(
                "--revision, --device, --dtype and --adapter are for models on this machine"
            )
        return load_upstream_model(model, infilling_format)
    import incoder

    options.fetch(model, revision)
    with progress(f"loading {model} …"):
        loaded = incoder.load(
            model,
            revision=revision,
            device=device,
            dtype=dtype,
            infilling_format=infilling_format,
            adapter=adapter,
        )

    from incoder.model.compilation import before_compiling

    before_compiling(lambda: print_note("compiling for this machine and precision, once; it takes seconds"))
    return loaded


def collect(task: str, total: int, changes: Iterable[Change]) -> list[Change]:
    """Collect all changes, with a progress bar on a terminal."""
    collected = []
    with progress_bar(task, total) as count:
        for change in changes:
            collected.append(change)
            count()
    return collected


def edited(
    file: str,
    model: str | None,
    text: str,
    changes: Sequence[Change],
    *,
    nothing_to_do: str | None = None,
    num_places: int | None = None,
) -> Edited:
    """Apply the best candidate of every change: returns the new text of the file and the counts of places.

    `nothing_to_do` is the reason why there are no changes. The first `num_places` changes (by default all)
    are at places that were asked for, and are counted; the others, such as imports, are not.
    """
    new = apply_edits(text, [edit for change in changes for edit in change.edits])
    asked_for = changes[:num_places]
    left = [_why_left(change) for change in asked_for if change.used is None]
    failure = None
    if changes and all(change.used is None for change in changes):
        tried = sum(len(change.candidates) for change in changes)
        none = "the only candidate cannot" if tried == 1 else f"none of the {tried} candidates can"
        failure = f"{none} be used, so nothing was changed; try more (-n), another --seed, or another --model"
    return Edited(
        file,
        text,
        new,
        _described(file, model, new, changes, nothing_to_do),
        num_written=len(asked_for) - len(left),
        left=left,
        nothing_to_do=nothing_to_do,
        failure=failure,
        notes=_candidate_notes(changes),
    )


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
    """Show or write the `edited` text of a single file, with the arguments of `edited`.

    Raises:
        IncoderError: no change has a candidate that can be used, or the file cannot be written; it is left as
            it is.
    """
    result = edited(file, model, text, changes, nothing_to_do=nothing_to_do)
    batch.deliver(result, Output(in_place=in_place, diff=diff, json=json))


def _described(
    file: str, model: str | None, new: str, changes: Sequence[Change], nothing_to_do: str | None
) -> dict[str, Any]:
    """Return the object for JSON: the new text and every change; `used` is a candidate's index from 0."""
    described = [
        {
            "place": change.place,
            "line": change.line,
            "used": change.candidates.index(change.used) if change.used else None,
            "candidates": [asdict(candidate) for candidate in change.candidates],
        }
        for change in changes
    ]
    reason = {"nothing_to_do": nothing_to_do} if nothing_to_do else {}
    return {"file": file, "model": model, "text": new, "changes": described, **reason}


def _why_left(change: Change) -> str:
    best = change.candidates[0] if change.candidates else None
    return (best.problem if best else None) or "the model proposes nothing"


def _candidate_notes(changes: Sequence[Change]) -> list[str]:
    """Return notes on places without a usable candidate, and on the candidates if there is a single place."""
    notes = []
    for change in changes:
        if change.used is None:
            best = change.candidates[0] if change.candidates else None
            why = f"; the best is {_shown(best.edits[0].text)}: {best.problem}" if best and best.edits else ""
            where = "" if change.place.startswith("line") else f"line {change.line}: "
            notes.append(f"{where}{change.place}: no candidate can be used{why}")
    if len(changes) != 1 or (len(changes[0].candidates) == 1 and changes[0].used):
        return notes
    for number, candidate in enumerate(changes[0].candidates, start=1):
        is_used = candidate is changes[0].used
        why = " (used)" if is_used else f" ({candidate.problem})" if candidate.problem else ""
        notes.append(f"candidate {number}, mean log-probability {candidate.logprob:.3f}{why}")
        notes += [f"    {_shown(text)}" for text in dict.fromkeys(edit.text for edit in candidate.edits)]
    return notes


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + " …")
