"""`incoder fill`: fill the holes of a file."""

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from incoder.cli import options
from incoder.cli.console import progress, write_result
from incoder.cli.results import as_diff, as_json, note_candidates, note_context, note_unfinished
from incoder.cli.source import read_source, replace_source
from incoder.document import DEFAULT_HOLE, Parts
from incoder.errors import IncoderError


def fill(
    file: Annotated[
        str, typer.Argument(help="A file with holes, or - for standard input.", show_default=False)
    ],
    model: options.Model = "mini",
    revision: options.Revision = None,
    num_candidates: options.NumCandidates = 1,
    rank_by: Annotated[
        Literal["mean", "total", "whole"],
        typer.Option(
            help="What ranks candidates: their log-probability by token, or in total; whole: the total and "
            "that of the filled text read left to right, which tells what fits the text behind the hole."
        ),
    ] = "mean",
    hole: Annotated[str, typer.Option(help="What marks a hole.")] = DEFAULT_HOLE,
    temperature: options.Temperature = 0.2,
    top_p: options.TopP = 0.95,
    top_k: options.TopK = None,
    max_new_tokens: options.MaxNewTokens = 128,
    seed: options.Seed = 0,
    stop: options.Stop = None,
    beams: options.Beams = 1,
    time_limit: options.TimeLimit = None,
    context: Annotated[
        list[str] | None,
        typer.Option(
            help="Another file for the model to see, the most important last. Repeatable.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    in_place: options.InPlace = False,
    diff: options.Diff = False,
    json: options.Json = False,
    extension: options.Extension = None,
    lead_lines: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Begin each fill with so many lines before its hole; the hole's own is the first.",
            show_default="as it was trained",
        ),
    ] = None,
    heal: options.Heal = True,
    edges: Annotated[
        bool,
        typer.Option(
            "--edges/--no-edges",
            help="End an infill with the string, line or block that its hole is in, or where it repeats "
            "what is there.",
        ),
    ] = True,
    infilling_format: options.Format = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
) -> None:
    """Fill the holes of a file, with both sides in view.

    Mark the places where code is missing with <FILL>, as many as you like; each is filled in turn and later
    ones see the earlier. The filled text goes to standard output, unless you ask for something else. Long
    files are read in a window around the holes.

    Example: printf 'def mean(xs):\\n    return <FILL>\\n' | incoder fill -
    """
    options.check_output(file, in_place=in_place, diff=diff, json=json)
    if not hole:
        raise typer.BadParameter("--hole must not be empty")
    text = read_source(file)
    parts = Parts.split(text, hole)
    if not parts.num_holes:
        empty = "is empty" if not text else "has no hole"
        raise IncoderError(f"{file} {empty}; mark where code is missing with {hole} (another marker: --hole)")
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
    other_files = {path: read_source(path) for path in context or []}

    import incoder
    from incoder.inference.edges import ALL_EDGE_RULES

    options.fetch(model, revision)
    with progress(f"loading {model} …") as update:
        infill_model = incoder.load(
            model, revision=revision, device=device, dtype=dtype, infilling_format=infilling_format
        )
        path = options.path_to_tell(file, extension)
        shown = infill_model.shown_files(other_files, path, max_new_tokens=max_new_tokens) if context else {}
        update(f"0 of {num_candidates * parts.num_holes} infills written …")
        result = infill_model.infill(
            parts,
            num_candidates=num_candidates,
            **asdict(params),
            rank_by=rank_by,
            path=path,
            other_files=other_files,
            num_lead_lines=lead_lines,
            heal_tokens=heal,
            edge_rules=ALL_EDGE_RULES if edges else (),
            on_fill=lambda done, total: update(f"{done} of {total} infills written …"),
        )
    note_context(other_files, shown)
    note_candidates(result, num_candidates)
    note_unfinished(result, max_new_tokens, "allow more with --max-new-tokens, or end it with --stop")
    if in_place:
        replace_source(file, old=text, new=result.text)
    elif diff:
        write_result(as_diff(file, text, result.text))
    else:
        write_result(as_json(file, model, result) if json else result.text)
