"""`incoder docstring`: write or complete docstrings."""

from dataclasses import replace
from typing import Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.batch import Edited, Output, check_output, edit_files, once
from incoder.cli.file_list import find_files
from incoder.cli.request_options import DRAWING, with_request
from incoder.editing.defaults import DOCSTRING
from incoder.editing.docstrings.style import STYLE_NAMES
from incoder.editing.languages import is_python
from incoder.request import InfillRequest


@with_request(DRAWING, DOCSTRING)
def docstring(
    request: InfillRequest,
    files: editing.PythonFiles,
    lines: options.Lines = None,
    function: options.Function = None,
    is_all: Annotated[
        bool, typer.Option("--all", help="Write all missing docstrings, also that of the module.")
    ] = False,
    module: Annotated[bool, typer.Option("--module", help="Write or complete the module's.")] = False,
    style: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(STYLE_NAMES)}.", show_default="that of FILE's other docstrings"),
    ] = None,
    model: options.Model = "mini",
    revision: options.Revision = None,
    in_place: options.InPlace = False,
    diff: options.Diff = False,
    json: options.Json = False,
    device: options.Device = None,
    dtype: options.Dtype = None,
    adapter: options.Adapter = None,
) -> None:
    """Write or complete the docstrings of Python files.

    A new docstring has the style of the others in the file: its sections and the names of parameters are
    taken from the code, and the model writes the sentences. An existing docstring is kept: missing sections
    are added, and its text is continued only if it breaks off within a sentence. If some docstrings could not
    be written, the others are, and the status is 1.

    Example: incoder docstring shapes.py --function Circle.area --diff
    """
    found, output = find_files(files, is_python), Output(in_place, diff, json)
    one_file_only = {"--lines": lines is not None, "--function": function is not None}
    check_output(found, output, one_file_only=one_file_only)
    if style is not None and style not in STYLE_NAMES:
        raise typer.BadParameter(f"--style must be one of {', '.join(STYLE_NAMES)}, got {style}")
    selection = editing.selection(lines, function, is_all, others=module, names=("--module",))
    loaded = once(lambda: editing.load_model(model, revision, device, dtype, adapter=adapter))

    from incoder.editing.docstring import incomplete, undocumented, write_docstrings
    from incoder.editing.docstrings.draft import Target
    from incoder.editing.docstrings.style import style_of

    def edit(file: str) -> Edited:
        text, path, source = editing.read_python(file, "docstring")
        own = style_of(source)
        chosen = replace(own, name=next(name for name in STYLE_NAMES if name == style)) if style else own
        targets: list[Target] = [None]
        if not module:
            targets = undocumented(source) if is_all else [*selection.definitions(source)]
        targets = incomplete(source, targets, chosen)
        if not targets:
            return editing.edited(
                file, model, text, [], nothing_to_do="no docstring is lacking or incomplete"
            )
        written = write_docstrings(loaded(), source, targets, request, style=chosen, path=path)
        changes = editing.collect("docstrings", len(targets), written)
        result = editing.edited(file, model, text, changes)
        if result.left and not result.failure:
            missing = f"{len(result.left)} of {len(targets)} docstrings could not be written"
            return replace(result, shortfall=f"{missing}; try more candidates (-n) or another --seed")
        return result

    edit_files(found, edit, output)
