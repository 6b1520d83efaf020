"""`incoder complete`: write on where a file ends."""

from dataclasses import asdict
from json import dumps
from typing import Annotated

import typer

from incoder.cli import options
from incoder.cli.console import print_note, progress, write_result
from incoder.cli.editing import load_model
from incoder.cli.results import candidate_notes, described
from incoder.cli.source import read_source
from incoder.editing.lines import line_end
from incoder.inference.sampling_params import DEFAULT_TEMPERATURE, DEFAULT_TOP_P


def complete(
    file: Annotated[
        str, typer.Argument(help="A file to go on with, or - for standard input.", show_default=False)
    ],
    model: options.Model = "mini",
    revision: options.Revision = None,
    num_candidates: options.NumCandidates = 1,
    temperature: options.Temperature = DEFAULT_TEMPERATURE,
    top_p: options.TopP = DEFAULT_TOP_P,
    top_k: options.TopK = None,
    max_new_tokens: options.MaxNewTokens = 128,
    seed: options.Seed = 0,
    stop: options.Stop = None,
    beams: options.Beams = 1,
    time_limit: options.TimeLimit = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object with all candidates.")] = False,
    extension: options.Extension = None,
    filename: Annotated[
        str | None, typer.Option(help="The file name that the model is told.", show_default="none")
    ] = None,
    stars: Annotated[
        int | None,
        typer.Option(min=0, max=5, help="The bin of stars that it is told, 5 the best.", show_default="none"),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option("--source", help="Where the file is from, such as github.", show_default="none"),
    ] = None,
    heal: options.Heal = True,
    device: options.Device = None,
    dtype: options.Dtype = None,
) -> None:
    """Write on after the end of a file, left to right.

    The file and its continuation go to standard output, with a line end where the last line has none (--json
    has the text as it is). The end of the file counts to the byte: after a line end the model begins a new
    line. Attributes guide a model that was trained with them: with --ext .sh it writes a shell script, with
    --stars 5 code as in much liked repositories.

    Example: printf 'def hello(' | incoder complete - --ext .py --max-new-tokens 32
    """
    text = read_source(file)
    told = {"filename": filename, "dstars": stars, "source": origin}
    if num_candidates > beams > 1:
        raise typer.BadParameter(f"--beams must be at least -n, got {beams} for {num_candidates}")
    params = options.sampling_params(
        stop,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        max_new_tokens=max_new_tokens,
        seed=seed,
        time_limit=time_limit,
        num_beams=beams,
    )

    infill_model = load_model(model, revision, device, dtype)
    with progress("writing …"):
        result = infill_model.complete(
            text,
            num_candidates=num_candidates,
            **asdict(params),
            path=options.path_to_tell(file, extension),
            attributes={name: str(value) for name, value in told.items() if value is not None},
            heal_tokens=heal,
        )
    ends_its_line = result.text.endswith(("\n", "\r"))
    write_result(
        dumps(described(file, model, result)) + "\n"
        if json
        else result.text + ("" if ends_its_line else line_end(text))
    )
    for note in candidate_notes(result, num_candidates):
        print_note(note)
    if "time" in result.candidates[0].finish_reasons:
        print_note("not finished in time; allow more with --time-limit")
