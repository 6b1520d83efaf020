"""`incoder fix`: write wrong lines anew, judged by a test command."""

from pathlib import Path
from typing import Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.console import print_note, progress
from incoder.cli.source import STANDARD_INPUT, read_source
from incoder.errors import IncoderError

_NUM_SHOWN = 10  # lines of what a failing command printed


def fix(
    file: Annotated[str, typer.Argument(help="A file, or - for standard input.", show_default=False)],
    lines: options.Lines = None,
    function: options.Function = None,
    test: Annotated[
        str | None,
        typer.Option(
            help="A shell command that fails now and is to pass; it runs in copies of --root.",
            metavar="COMMAND",
            show_default=False,
        ),
    ] = None,
    root: Annotated[Path, typer.Option(help="The folder in which the command runs.")] = Path(),
    tries: Annotated[int, typer.Option(min=1, help="How often the command is run at most.")] = 20,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that the command may take.")] = 60.0,
    suspects: Annotated[
        int, typer.Option(min=1, help="Without --lines and --function: how many lines are suspected.")
    ] = 3,
    model: options.Model = "mini",
    revision: options.Revision = None,
    num_candidates: options.NumCandidates = 8,
    temperature: options.Temperature = 0.6,
    top_p: options.TopP = 0.95,
    max_new_tokens: options.MaxNewTokens = 64,
    seed: options.Seed = 0,
    in_place: options.InPlace = False,
    diff: options.Diff = False,
    json: options.Json = False,
    extension: options.Extension = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
) -> None:
    """Write lines of a file anew, in any language.

    The lines are those you name, or else suspicious ones: where the file does not parse, what the failing
    command's output names, and what the model finds least probable. With --test a candidate counts only if
    the command passes with it; it runs in a copy of --root, and the file itself is touched by the winner
    alone, with --in-place.

    Example: incoder fix shapes.py --lines 12:13 --test "pytest -q tests/test_shapes.py" --in-place
    """
    options.check_output(file, in_place=in_place, diff=diff, json=json)
    if test is not None and file == STANDARD_INPUT:
        raise typer.BadParameter("--test needs a file; the command finds it by its place")
    settings = editing.decoding(num_candidates, temperature, top_p, max_new_tokens, seed)
    is_named = lines is not None or function is not None
    selection = editing.selection(lines, function) if is_named else None

    from incoder.tasks.fix import fix as written_anew
    from incoder.tasks.lines import Lines
    from incoder.tasks.suspicion import suspicious_lines
    from incoder.tasks.trial import Trial

    text, path = read_source(file), options.path_to_tell(file, extension)
    chosen = selection.span(text) if selection is not None else None
    trial = Trial(test, root, Path(file), timeout) if test is not None else None
    before = None
    if trial is not None:
        with progress("running the command on the file as it is …"):
            before = trial.run(text)
        if before.failure is None:
            print_note(f"{file}: the command passes as it is; nothing to fix")
            editing.deliver(file, model, text, [], in_place=in_place, diff=diff, json=json)
            return
        shown = before.output.splitlines()[-_NUM_SHOWN:]
        if before.is_not_found and Path(file).name not in before.output:  # else the file itself may say so
            said = f": {shown[-1]}" if shown else ""
            raise IncoderError(f"the command {test} cannot be run (status {before.status}){said}")
        print_note("\n    ".join([before.failure, *shown]))
    loaded = editing.load_model(model, revision, device, dtype)
    if chosen is not None:
        spans = [chosen]
    else:
        numbers = suspicious_lines(loaded, text, path, before, suspects)
        if not numbers:
            raise IncoderError(f"{file} has no lines to fix")
        print_note(f"suspicious: {', '.join(f'line {number}' for number in numbers)}")
        spans = [Lines(text).span(number, number) for number in numbers]
    with progress("writing …"):
        change = written_anew(
            loaded, text, spans, settings, run=trial.run if trial else None, max_tries=tries, path=path
        )
    if change.used is not None:
        passes = "; the command passes" if trial is not None else ""
        print_note(f"{file}: {change.place} written anew{passes}")
    editing.deliver(file, model, text, [change], in_place=in_place, diff=diff, json=json)
