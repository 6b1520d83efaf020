"""`incoder rename`: rename a variable in all its occurrences, to the model's name or to yours."""

from pathlib import Path
from typing import Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.console import print_note, progress
from incoder.cli.project_files import MAX_FILES, other_files
from incoder.cli.request_options import DRAWING, with_request
from incoder.cli.source import STANDARD_INPUT
from incoder.editing.defaults import RENAME
from incoder.editing.selection import Selection
from incoder.extras import missing_extra
from incoder.request import InfillRequest


@with_request(DRAWING, RENAME)
def rename(
    request: InfillRequest,
    file: Annotated[str, typer.Argument(help="A Python file, or - for standard input.", show_default=False)],
    name: Annotated[str, typer.Argument(help="The variable to rename.", show_default=False)],
    to: Annotated[
        str | None,
        typer.Option(help="The new name; no model is used.", metavar="NAME", show_default="the model's"),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Rename even if something else may know the variable by its name. A new name that would "
            "change the meaning of the file is refused nevertheless.",
        ),
    ] = False,
    lines: options.Lines = None,
    function: options.Function = None,
    model: options.Model = "mini",
    revision: options.Revision = None,
    in_place: options.InPlace = False,
    diff: options.Diff = False,
    json: options.Json = False,
    device: options.Device = None,
    dtype: options.Dtype = None,
    adapter: options.Adapter = None,
) -> None:
    """Rename a variable, parameter or function of a Python file in all its occurrences, and nothing else.

    The model proposes a name by filling all occurrences, unless you give one with --to; a name that it finds
    less probable than the present one is not taken. If several variables have the name, choose one with
    --function or --lines. A renaming that cannot be shown safe is refused: code may read variables by name
    (eval, locals, globals, frames), and strings, decorators, other definitions or other files of the project
    may know the name. With --force it is done nevertheless.

    Example: incoder rename shapes.py r --function Circle.area --to radius --diff
    """
    options.check_output(file, in_place=in_place, diff=diff, json=json)
    if lines is None and function is None:
        selection = Selection(is_all=True)
    else:
        selection = editing.selection(lines, function, False)

    try:
        from incoder.editing.rename import find_variable, propose_names, rename_to
        from incoder.editing.renaming.project_references import project_references
        from incoder.editing.renaming.renaming import Renaming
        from incoder.editing.renaming.variables import Variables
    except ImportError as error:
        raise missing_extra("renaming needs libcst", "editing") from error

    text, path, source = editing.read_python(file, "rename")
    variables = Variables(source)
    variable = find_variable(source, variables, name, selection)
    others, are_all = ({}, True) if file == STANDARD_INPUT else other_files(Path(file))
    if not are_all:
        print_note(
            f"the project has more than {MAX_FILES:,} files; only the first of them were searched for uses"
        )
    used = [*project_references(variable, Path(path), others)]
    renaming = Renaming(source, variables, variable, force=force, others=used)
    if to is not None:
        changes = [rename_to(renaming, to)]
    else:
        loaded = editing.load_model(model, revision, device, dtype, adapter=adapter)
        with progress(f"asking for a name in {len(variable.occurrences)} places …"):
            change = propose_names(loaded, source, renaming, request, path=path)
        changes = [change] if change is not None else []
    editing.deliver(
        file,
        None if to is not None else model,
        text,
        changes,
        in_place=in_place,
        diff=diff,
        json=json,
        nothing_to_do=None if changes else f"the model finds no name more probable than {name}",
    )
    for caveat in renaming.caveats if changes else ():
        print_note(caveat)
