"""`incoder edit`: rewrite lines as a comment asks."""

from typing import Annotated

import typer

from incoder.cli import editing, options
from incoder.cli.console import progress
from incoder.cli.request_options import DRAWING, with_request
from incoder.cli.source import read_source
from incoder.editing.defaults import EDIT
from incoder.request import InfillRequest


@with_request(DRAWING, EDIT)
def edit(
    request: InfillRequest,
    file: Annotated[str, typer.Argument(help="A file, or - for standard input.", show_default=False)],
    comment: Annotated[
        str, typer.Argument(help="The purpose of the lines, as a comment says it.", show_default=False)
    ],
    lines: options.Lines = None,
    function: options.Function = None,
    keep_comment: Annotated[
        bool, typer.Option("--keep-comment", help="Leave the comment in the file, before the lines.")
    ] = False,
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
    """Rewrite lines of a file, in any language, as a comment asks.

    The comment is inserted before the lines, in the comment syntax of the file; then the lines become a hole
    that the model fills with both sides in view. A candidate is not used if the file does not parse with it,
    if a function loses its name or parameters although the comment does not ask for that, or if only a
    comment is left.

    Example: incoder edit train.py "use a Huber loss" --lines 10:12 --diff
    """
    options.check_output(file, in_place=in_place, diff=diff, json=json)
    if not comment.strip():
        raise typer.BadParameter("the comment must say something")
    selection = editing.selection(lines, function)

    from incoder.editing.candidates import Change
    from incoder.editing.languages import is_python, parse_problem
    from incoder.editing.lines import Lines
    from incoder.editing.required_definitions import required_definitions
    from incoder.editing.rewrite import rewrite_lines

    text, path = read_source(file), options.path_to_tell(file, extension)
    span = selection.span(text)
    is_of_python = function is not None or (path is not None and is_python(path))
    required = required_definitions(text, span, named=function, request=comment) if is_of_python else ()
    loaded = editing.load_model(model, revision, device, dtype, adapter=adapter)
    with progress("writing …"):
        candidates = rewrite_lines(
            loaded,
            text,
            span,
            request,
            comment=comment,
            keep_comment=keep_comment,
            must_parse=parse_problem(text, path) is None,
            required=required,
            path=path,
        )
    first, last = (Lines(text).number(place) for place in (span[0], max(span[0], span[1] - 1)))
    change = Change(f"lines {first}:{last}", first, candidates)
    editing.deliver(file, model, text, [change], in_place=in_place, diff=diff, json=json)
