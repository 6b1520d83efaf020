"""`incoder rename`: a better name for a variable, or a given one, everywhere it is meant."""

from typing import Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.console import print_note, progress
from incoder.errors import IncoderError
from incoder.tasks.selection import Selection


def rename(
    file: Annotated[str, typer.Argument(help="A Python file, or - for standard input.", show_default=False)],
    name: Annotated[str, typer.Argument(help="The variable to rename.", show_default=False)],
    to: Annotated[
        str | None,
        typer.Option(help="The new name; no model is asked.", metavar="NAME", show_default="the model's"),
    ] = None,
    lines: options.Lines = None,
    function: options.Function = None,
    model: options.Model = "mini",
    revision: options.Revision = None,
    num_candidates: options.NumCandidates = 5,
    temperature: options.Temperature = 0.6,
    top_p: options.TopP = 0.95,
    max_new_tokens: options.MaxNewTokens = 8,
    seed: options.Seed = 0,
    in_place: options.InPlace = False,
    diff: options.Diff = False,
    json: options.Json = False,
    device: options.Device = None,
    dtype: options.Dtype = None,
) -> None:
    """Rename a variable of a Python file, everywhere it is meant and nowhere else.

    The model proposes a name by filling all its occurrences, unless you give one with --to. Where several
    variables have the name, say in which function or lines. A name that would hide another one, or be hidden,
    is refused, and so is a variable that strings or other files may mean.

    Example: incoder rename shapes.py r --function Circle.area --to radius --diff
    """
    options.check_output(file, in_place=in_place, diff=diff, json=json)
    settings = editing.decoding(num_candidates, temperature, top_p, max_new_tokens, seed)
    if lines is None and function is None:
        selection = Selection(is_all=True)
    else:
        selection = editing.selection(lines, function, False)

    try:
        from incoder.tasks.rename import find_variable, propose_names, rename_to
        from incoder.tasks.renaming import Renaming
        from incoder.tasks.variables import Variables
    except ImportError as error:
        raise IncoderError("renaming needs libcst: pip install 'incoder[editing]'") from error

    text, path, source = editing.read_python(file, "rename")
    variables = Variables(source)
    renaming = Renaming(source, variables, find_variable(source, variables, name, selection))
    if to is not None:
        change = rename_to(renaming, to)
    else:
        loaded = editing.load_model(model, revision, device, dtype)
        with progress(f"asking for a name in {len(renaming.variable.occurrences)} places …"):
            change = propose_names(loaded, source, renaming, settings, path=path)
    for caveat in renaming.caveats:
        print_note(caveat)
    asked = None if to is not None else model
    editing.deliver(file, asked, text, [change], in_place=in_place, diff=diff, json=json)
