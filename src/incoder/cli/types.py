"""`incoder types`: add type annotations."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.console import print_note
from incoder.cli.source import STANDARD_INPUT
from incoder.errors import IncoderError
from incoder.tasks.annotations import KINDS


def types(
    file: Annotated[str, typer.Argument(help="A Python file, or - for standard input.", show_default=False)],
    lines: options.Lines = None,
    function: options.Function = None,
    is_all: Annotated[bool, typer.Option("--all", help="Annotate all that lack it.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What to annotate: {', '.join(KINDS)}. Repeatable.",
            metavar="KIND",
            show_default="return and parameter",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Reject what makes mypy report a new error, and try the next.")
    ] = False,
    check_timeout: Annotated[
        float, typer.Option(help="Seconds that mypy may take for one candidate.", min=0.1)
    ] = 120.0,
    model: options.Model = "mini",
    revision: options.Revision = None,
    num_candidates: options.NumCandidates = 5,
    temperature: options.Temperature = 0.4,
    top_p: options.TopP = 0.95,
    max_new_tokens: options.MaxNewTokens = 24,
    seed: options.Seed = 0,
    in_place: options.InPlace = False,
    diff: options.Diff = False,
    json: options.Json = False,
    device: options.Device = None,
    dtype: options.Dtype = None,
) -> None:
    """Add type annotations to a Python file, and the imports that they need.

    Annotations that are there stay. What the code tells is not left to the model: a function without a value
    returns None, and a default of None is admitted. Types whose names are not known there are not used.

    Example: incoder types shapes.py --function Circle.area --check --diff
    """
    options.check_output(file, in_place=in_place, diff=diff, json=json)
    unknown = [kind for kind in only or () if kind not in KINDS]
    if unknown:
        raise typer.BadParameter(f"--only must be one of {', '.join(KINDS)}, got {unknown[0]}")
    if check and file == STANDARD_INPUT:
        raise typer.BadParameter("--check needs a file; mypy finds what it imports by its place")
    settings = editing.decoding(num_candidates, temperature, top_p, max_new_tokens, seed)
    selection = editing.selection(lines, function, is_all)

    from incoder.tasks.annotations import slots
    from incoder.tasks.type_checker import Mypy
    from incoder.tasks.type_hints import write_annotations

    text, path, source = editing.read_python(file, "types")
    kinds = only or ["return", "parameter"]
    chosen = [
        slot for slot in slots(source) if slot.kind in kinds and selection.has(source, slot.line, slot.owner)
    ]
    if not chosen:
        if not is_all:
            raise IncoderError(f"nothing there lacks the annotation of a {' or '.join(kinds)}")
        print_note(f"{file}: nothing lacks an annotation")
        editing.deliver(file, model, text, [], in_place=in_place, diff=diff, json=json)
        return
    loaded = editing.load_model(model, revision, device, dtype)
    with ExitStack() as stack:
        checker = stack.enter_context(Mypy(Path(file), text, check_timeout)) if check else None
        written = write_annotations(loaded, source, chosen, settings, checker=checker, path=path)
        changes = editing.collect("annotations", len(chosen), written)
    editing.deliver(file, model, text, changes, in_place=in_place, diff=diff, json=json)
