"""`incoder complete`: continue a file from its end."""

from dataclasses import replace
from json import dumps
from typing import Annotated

import typer

from incoder.cli import options
from incoder.cli.console import print_note, progress, write_result
from incoder.cli.editing import load_model
from incoder.cli.project_memory import open_project, project_of
from incoder.cli.request_options import COMPLETING, with_request
from incoder.cli.results import candidate_notes, described
from incoder.cli.source import read_source
from incoder.cli.streamed_text import StreamedText
from incoder.editing.lines import line_end
from incoder.request import InfillRequest


@with_request(COMPLETING)
def complete(
    request: InfillRequest,
    file: Annotated[
        str, typer.Argument(help="A file to continue, or - for standard input.", show_default=False)
    ],
    model: options.Model = "mini",
    revision: options.Revision = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object with all candidates.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Show the text while it is written.")] = False,
    extension: options.Extension = None,
    filename: Annotated[
        str | None, typer.Option(help="The file name in the prompt's attributes.", show_default="none")
    ] = None,
    stars: Annotated[
        int | None,
        typer.Option(
            min=0, max=5, help="The bin of stars in the attributes, 5 for the most.", show_default="none"
        ),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option("--source", help="The source in the attributes, such as github.", show_default="none"),
    ] = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    adapter: options.Adapter = None,
) -> None:
    """Continue a file from its end, left to right.

    The file and its continuation go to standard output, with a line end added if the last line has none
    (--json has the text as it is). The model continues after the last byte of the file: if that is a line
    end, it begins a new line. Attributes guide a model that was trained with them: with --ext .sh it writes a
    shell script, with --stars 5 code as in popular repositories.

    Example: printf 'def hello(' | incoder complete - --ext .py --max-new-tokens 32
    """
    text = read_source(file)
    given = {"filename": filename, "dstars": stars, "source": origin}
    if stream and (json or request.num_candidates > 1):
        raise typer.BadParameter("--stream needs one candidate (-n 1), and excludes --json")
    attributes = {name: str(value) for name, value in given.items() if value is not None}
    request = request.for_parts([text], path=options.path_to_tell(file, extension))
    request = replace(request, prompt=replace(request.prompt, attributes=attributes))

    project = project_of(request)
    infill_model = load_model(model, revision, device, dtype, adapter=adapter)
    if project is not None:
        # With --ext, the request does not have the path of the file.
        open_project(infill_model, project, [file] if extension is not None and file != "-" else ())
    shown = StreamedText(request.parts)
    if stream:
        result = infill_model.run(request, on_text=shown.add)
    else:
        with progress("writing …"):
            result = infill_model.run(request)
    ends_its_line = result.text.endswith(("\n", "\r"))
    whole = result.text + ("" if ends_its_line else line_end(text))
    if stream:
        shown.finish(whole)
    else:
        write_result(dumps(described(file, model, result)) + "\n" if json else whole)
    for note in candidate_notes(result, request.num_candidates):
        print_note(note)
    if "time" in result.candidates[0].finish_reasons:
        print_note("not finished in time; allow more with --time-limit")
