"""`incoder docstring`: write or complete docstrings."""

from dataclasses import replace
from typing import Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.console import print_note
from incoder.tasks.docstring_style import STYLE_NAMES


def docstring(
    file: Annotated[str, typer.Argument(help="A Python file, or - for standard input.", show_default=False)],
    lines: options.Lines = None,
    function: options.Function = None,
    is_all: Annotated[
        bool, typer.Option("--all", help="Write all that are lacking, the module's too.")
    ] = False,
    module: Annotated[bool, typer.Option("--module", help="Write or complete the module's.")] = False,
    style: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(STYLE_NAMES)}.", show_default="that of FILE's other docstrings"),
    ] = None,
    model: options.Model = "mini",
    revision: options.Revision = None,
    num_candidates: options.NumCandidates = 3,
    temperature: options.Temperature = 0.4,
    top_p: options.TopP = 0.95,
    max_new_tokens: options.MaxNewTokens = 96,
    seed: options.Seed = 0,
    in_place: options.InPlace = False,
    diff: options.Diff = False,
    json: options.Json = False,
    device: options.Device = None,
    dtype: options.Dtype = None,
) -> None:
    """Write or complete the docstrings of a Python file.

    A new docstring has the style of the others in the file: sections and names of parameters are certain,
    what they say is the model's. One that is there is kept, written on where its last sentence has no end,
    and gets the sections that it lacks.

    Example: incoder docstring shapes.py --function Circle.area --diff
    """
    options.check_output(file, in_place=in_place, diff=diff, json=json)
    if style is not None and style not in STYLE_NAMES:
        raise typer.BadParameter(f"--style must be one of {', '.join(STYLE_NAMES)}, got {style}")
    settings = editing.decoding(num_candidates, temperature, top_p, max_new_tokens, seed)
    selection = editing.selection(lines, function, is_all, others=module, names=("--module",))

    from incoder.tasks.docstring import Target, lacking, write_docstrings
    from incoder.tasks.docstring_style import style_of

    text, path, source = editing.read_python(file, "docstring")
    found = style_of(source)
    wanted = replace(found, name=next(name for name in STYLE_NAMES if name == style)) if style else found
    targets: list[Target] = [None]
    if not module:
        targets = lacking(source) if is_all else [*selection.definitions(source)]
    if not targets:
        print_note(f"{file}: nothing lacks a docstring")
        editing.deliver(file, model, text, [], in_place=in_place, diff=diff, json=json)
        return
    loaded = editing.load_model(model, revision, device, dtype)
    written = write_docstrings(loaded, source, targets, settings, style=wanted, path=path)
    changes = editing.collect("docstrings", len(targets), written)
    editing.deliver(file, model, text, changes, in_place=in_place, diff=diff, json=json)
