"""`incoder fix`: rewrite wrong lines until a test command passes."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.console import print_note, progress
from incoder.cli.request_options import DRAWING, with_request
from incoder.cli.source import STANDARD_INPUT, read_source
from incoder.editing.defaults import FIX
from incoder.errors import IncoderError
from incoder.request import InfillRequest

if TYPE_CHECKING:
    from incoder.editing.candidates import Change
    from incoder.editing.test_run.runner import CommandRunner, Outcome
    from incoder.inference.prompting_model import PromptingModel

_NUM_SHOWN = 10  # lines of the output of a failing command
_MAX_SHOWN = 80  # characters of a candidate
_COPIED_AT_ONCE = 100  # files between two reports of progress


@with_request(DRAWING, FIX)
def fix(
    request: InfillRequest,
    file: Annotated[str, typer.Argument(help="A file, or - for standard input.", show_default=False)],
    lines: options.Lines = None,
    function: options.Function = None,
    test: Annotated[
        str | None,
        typer.Option(
            help="A shell command that fails now and must pass; --root stays as it is.",
            metavar="COMMAND",
            show_default=False,
        ),
    ] = None,
    root: Annotated[Path, typer.Option(help="The folder in which the command runs.")] = Path(),
    tries: Annotated[int, typer.Option(min=1, help="The maximum number of runs of the command.")] = 20,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that the command may take.")] = 60.0,
    max_copy: Annotated[
        int,
        typer.Option(
            min=1, metavar="MB", help="The maximum size of the copy of --root, if it has to be copied."
        ),
    ] = 2000,
    suspects: Annotated[
        int, typer.Option(min=1, help="Without --lines and --function: the number of suspicious lines.")
    ] = 3,
    model: options.Model = "mini",
    revision: options.Revision = None,
    in_place: options.InPlace = False,
    diff: options.Diff = False,
    json: options.Json = False,
    extension: options.Extension = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    adapter: options.Adapter = None,
) -> None:
    """Rewrite lines of a file, in any language.

    Name the lines with --lines or --function; otherwise suspicious lines are rewritten: the line at which the
    file does not parse, lines that the failing command's output names, and lines that the model finds least
    probable. With --test a candidate counts only if the command passes with it. The command runs in an
    overlay (Linux) or a copy of --root, and so changes none of its files. With --in-place only a candidate
    that passes changes the file.

    Example: incoder fix shapes.py --lines 12:13 --test "pytest -q tests/test_shapes.py" --in-place
    """
    options.check_output(file, in_place=in_place, diff=diff, json=json)
    if test is not None and file == STANDARD_INPUT:
        raise typer.BadParameter("--test needs a file; the command reads it by its path")
    is_named = lines is not None or function is not None
    selection = editing.selection(lines, function) if is_named else None

    from incoder.editing.fix import fix as rewrite
    from incoder.editing.test_run.runner import CommandRunner

    text, path = read_source(file), options.path_to_tell(file, extension)
    chosen = selection.span(text) if selection is not None else None
    deliver = partial(editing.deliver, file, model, text, in_place=in_place, diff=diff, json=json)
    with (
        nullcontext()
        if test is None
        else CommandRunner(test, root, Path(file), timeout, max_copy_bytes=max_copy * 1_000_000) as runner
    ):
        failed = _failure(runner, file, text) if runner is not None else None
        if runner is not None and failed is None:
            deliver([], nothing_to_do="the command passes as it is")
            return
        loaded = editing.load_model(model, revision, device, dtype, adapter=adapter)
        spans = [chosen] if chosen else _suspicious_spans(loaded, text, path, failed, suspects)
        with progress("writing …"):
            changes = rewrite(
                loaded,
                text,
                spans,
                request,
                run=runner.run if runner else None,
                max_tries=tries,
                function=function,
                path=path,
            )
    if failed is not None and not changes:
        raise IncoderError(f"{file} has no lines to fix")
    used = [change for change in changes if change.used is not None]
    try:
        deliver(changes if json else used or changes, nothing_to_do=None if changes else "there are no lines")
    finally:
        _note_places(changes)
    if test is not None:
        for change in used:
            print_note(f"{change.place}: the command passes with it")


def _failure(runner: "CommandRunner", file: str, text: str) -> "Outcome | None":
    """Run the command on the unchanged file; returns the failure, None if it passes.

    Raises:
        IncoderError: the command cannot be run.
    """
    with progress("running the command on the file as it is …") as say:

        def say_copied(num_done: int, num_files: int) -> None:
            if num_done % _COPIED_AT_ONCE == 0:
                say(f"copying {runner.root}: {num_done} of {num_files} files …")

        outcome = runner.run(text, on_copy=say_copied)
    if runner.warning is not None:
        print_note(f"note: {runner.warning}")
    if outcome.failure is None:
        return None
    shown = outcome.output.splitlines()[-_NUM_SHOWN:]
    if outcome.is_not_found and Path(file).name not in outcome.output:  # else the file itself may say so
        said = f": {shown[-1]}" if shown else ""
        raise IncoderError(f"the command {runner.command} cannot be run (status {outcome.status}){said}")
    print_note("\n    ".join([outcome.failure, *shown]))
    return outcome


def _suspicious_spans(
    model: "PromptingModel", text: str, path: PurePath | None, failed: "Outcome | None", num_lines: int
) -> list[tuple[int, int]]:
    """Find the most suspicious lines, and print a note that names them; returns their ranges."""
    from incoder.editing.fault_localization import suspicious_lines
    from incoder.editing.lines import Lines

    numbers = suspicious_lines(model, text, path, failed, num_lines)
    if numbers:
        print_note(f"suspicious: {', '.join(f'line {number}' for number in numbers)}")
    return [Lines(text).span(number, number) for number in numbers]


def _note_places(changes: "Sequence[Change]") -> None:
    """Print the fate of each candidate if there are several places; each place numbers its own candidates."""
    for change in changes if len(changes) > 1 else ():
        for number, candidate in enumerate(change.candidates, start=1):
            fate = candidate.problem or ("used" if candidate is change.used else "not needed")
            text = "".join(edit.text for edit in candidate.edits)[:_MAX_SHOWN]
            print_note(f"{change.place}, candidate {number} ({fate}): {text!r}")
