"""`incoder types`: add type annotations."""

from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.batch import Edited, Output, check_output, edit_files, once
from incoder.cli.file_list import find_files
from incoder.cli.request_options import DRAWING, with_request
from incoder.cli.source import STANDARD_INPUT
from incoder.editing.defaults import TYPES
from incoder.editing.languages import is_python
from incoder.editing.types.missing_annotations import KINDS
from incoder.request import InfillRequest


@with_request(DRAWING, TYPES)
def types(
    request: InfillRequest,
    files: editing.PythonFiles,
    lines: options.Lines = None,
    function: options.Function = None,
    is_all: Annotated[bool, typer.Option("--all", help="Write all missing annotations.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What to annotate: {', '.join(KINDS)}. Repeatable.",
            metavar="KIND",
            show_default="return and parameter",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Reject candidates with which mypy reports a new error.")
    ] = False,
    check_timeout: Annotated[
        float, typer.Option(help="Seconds that mypy may take for one candidate.", min=0.1)
    ] = 120.0,
    model: options.Model = "mini",
    revision: options.Revision = None,
    in_place: options.InPlace = False,
    diff: options.Diff = False,
    json: options.Json = False,
    device: options.Device = None,
    dtype: options.Dtype = None,
    adapter: options.Adapter = None,
) -> None:
    """Add type annotations to Python files, and the imports that they need.

    Existing annotations stay. The code decides where it can: a function without a return value is annotated
    with None, and a parameter whose default is None admits None. A type whose name is not known in the file
    is not used.

    Example: incoder types shapes.py --function Circle.area --check --diff
    """
    found, output = find_files(files, is_python), Output(in_place, diff, json)
    one_file_only = {"--lines": lines is not None, "--function": function is not None}
    check_output(found, output, one_file_only=one_file_only)
    unknown = [kind for kind in only or () if kind not in KINDS]
    if unknown:
        raise typer.BadParameter(f"--only must be one of {', '.join(KINDS)}, got {unknown[0]}")
    if check and STANDARD_INPUT in found.paths:
        raise typer.BadParameter("--check needs a file; mypy finds its imports by the file's path")
    selection = editing.selection(lines, function, is_all)
    loaded = once(lambda: editing.load_model(model, revision, device, dtype, adapter=adapter))

    from incoder.editing.type_hints import write_annotations
    from incoder.editing.types.missing_annotations import missing_annotations
    from incoder.editing.types.type_checker import Mypy, require_mypy

    if check:
        require_mypy()
    kinds = only or ["return", "parameter"]

    def edit(file: str) -> Edited:
        text, path, source = editing.read_python(file, "types")
        chosen = [
            missing
            for missing in missing_annotations(source)
            if missing.kind in kinds and selection.has(source, missing.line, missing.owner)
        ]
        if not chosen:
            reason = f"no annotation of a {' or '.join(kinds)} is lacking"
            return editing.edited(file, model, text, [], nothing_to_do=reason)
        with Mypy(Path(file), text, check_timeout, Path(cache)) if check else nullcontext() as checker:
            written = write_annotations(loaded(), source, chosen, request, checker=checker, path=path)
            changes = editing.collect("annotations", len(chosen), written)
        return editing.edited(file, model, text, changes, num_places=len(chosen))

    with TemporaryDirectory(prefix="incoder-mypy-") as cache:
        edit_files(found, edit, output)
