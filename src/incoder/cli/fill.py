"""`incoder fill`: fill the holes of files."""

import mmap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from incoder.cli import options
from incoder.cli.batch import Edited, Output, check_output, edit_files, once
from incoder.cli.console import print_note, progress, write_result
from incoder.cli.editing import load_model
from incoder.cli.file_list import FileList, find_files
from incoder.cli.results import candidate_notes, context_notes, described, unfinished_notes
from incoder.cli.source import read_source
from incoder.corpus.languages import LANGUAGES, language_named
from incoder.document import DEFAULT_HOLE, Parts
from incoder.errors import IncoderError
from incoder.inference.sampling_params import DEFAULT_TEMPERATURE, DEFAULT_TOP_P

if TYPE_CHECKING:
    from incoder.inference.results import InfillResult, ShownPrompt


def fill(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Files with holes, folders (in a checkout what git lists there), or - for standard input.",
            metavar="FILE",
            show_default=False,
        ),
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
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            help="A language, such as Shell, whose files in folders are left alone. Repeatable.",
            metavar="LANGUAGE",
            show_default="none",
        ),
    ] = None,
    temperature: options.Temperature = DEFAULT_TEMPERATURE,
    top_p: options.TopP = DEFAULT_TOP_P,
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
    show_prompt: Annotated[
        bool,
        typer.Option(
            "--show-prompt", help="Print what the model would read before the first infill; fill nothing."
        ),
    ] = False,
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
    """Fill the holes of files, with both sides in view.

    Mark the places where code is missing with <FILL>, as many as you like; each is filled in turn and later
    ones see the earlier. The filled text goes to standard output, unless you ask for something else; several
    files need --in-place, --diff or --json. Long files are read in a window around the holes.

    Example: printf 'def mean(xs):\\n    return <FILL>\\n' | incoder fill -
    """
    if not hole:
        raise typer.BadParameter("--hole must not be empty")
    found, output = _files_with(hole, files, leave_out or []), Output(in_place, diff, json)
    if show_prompt and (in_place or diff or json or not found.is_one):
        raise typer.BadParameter(
            "--show-prompt needs a single file, and excludes --in-place, --diff and --json"
        )
    check_output(found, output)
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

    from incoder.inference.edges import ALL_EDGE_RULES
    from incoder.inference.request import InfillRequest

    other_files = once(lambda: {path: read_source(path) for path in context or []})

    loaded = once(lambda: load_model(model, revision, device, dtype, infilling_format))

    def edit(file: str) -> Edited:
        text = read_source(file)
        parts = Parts.split(text, hole)
        if not parts.num_holes and not found.is_one:
            reason = f"there is no {hole} in it"
            nothing = {"file": file, "model": model, "text": text, "nothing_to_do": reason}
            return Edited(file, text, text, nothing, nothing_to_do=reason)
        _check_has_hole(file, parts, hole)
        others = other_files()
        infill_model = loaded()
        path = options.path_to_tell(file, extension)
        shown = infill_model.shown_files(others, path, max_new_tokens=max_new_tokens) if others else {}
        with progress(f"0 of {num_candidates * parts.num_holes} infills written …") as update:
            result = infill_model.infill(
                parts,
                num_candidates=num_candidates,
                **asdict(params),
                rank_by=rank_by,
                path=path,
                other_files=others,
                num_lead_lines=lead_lines,
                heal_tokens=heal,
                edge_rules=ALL_EDGE_RULES if edges else (),
                on_fill=lambda done, total: update(f"{done} of {total} infills written …"),
            )
        new, left = _joined(parts, result, hole)
        remedy = "allow more with --max-new-tokens, or end it with --stop"
        return Edited(
            file,
            text,
            new,
            described(file, model, result, new),
            num_written=parts.num_holes - len(left),
            left=left,
            notes=[
                *context_notes(others, shown),
                *candidate_notes(result, num_candidates),
                *unfinished_notes(result, max_new_tokens, remedy),
            ],
        )

    def show(file: str) -> None:
        parts = Parts.split(read_source(file), hole)
        _check_has_hole(file, parts, hole)
        request = InfillRequest(
            parts.texts,
            params,
            path=options.path_to_tell(file, extension),
            other_files=other_files(),
            num_lead_lines=lead_lines,
            heal_tokens=heal,
        )
        _print_prompt(loaded().shown_prompt(request))

    if show_prompt:
        show(found.paths[0])
    else:
        edit_files(found, edit, output)


def _files_with(hole: str, named: list[str], left_out: list[str]) -> FileList:
    """The files that are named, and those in named folders that have this marker.

    Raises:
        typer.BadParameter: a language that is to be left out is none of those that are known.
    """
    try:
        languages = {language_named(name) for name in left_out}
    except ValueError as error:
        raise typer.BadParameter(f"--leave-out: {error}") from error
    found = find_files(named, lambda path: LANGUAGES.get(path.suffix.lower()) not in languages)
    return FileList(tuple(one for one in found.paths if one in named or _has(one, hole)), found.is_one)


def _has(file: str, hole: str) -> bool:
    """Whether a file has the marker; also true of one that cannot be read, so that reading it says why."""
    try:
        with Path(file).open("rb") as opened:
            if not Path(file).stat().st_size:  # which cannot be mapped
                return False
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return content.find(hole.encode("utf-8", "surrogateescape")) >= 0
    except OSError:
        return True


def _check_has_hole(file: str, parts: Parts, hole: str) -> None:
    if not parts.num_holes:
        empty = "has no hole" if parts.texts[0] else "is empty"
        raise IncoderError(f"{file} {empty}; mark where code is missing with {hole} (another marker: --hole)")


def _print_prompt(prompt: "ShownPrompt") -> None:
    write_result(prompt.text if prompt.text.endswith("\n") else prompt.text + "\n")
    print_note(f"the model reads these {prompt.num_tokens} tokens, then writes the first infill")
    if prompt.required_prefix:
        print_note(f"token healing has the infill begin with {prompt.required_prefix!r}")


def _joined(parts: Parts, result: "InfillResult", hole: str) -> tuple[str, list[str]]:
    """The text with the best infills, and why holes were left: those keep their marker."""
    (best, *_) = result.candidates
    is_left = [
        reason == "time" and not infill
        for reason, infill in zip(best.finish_reasons, best.infills, strict=True)
    ]
    infills = [hole if left else infill for left, infill in zip(is_left, best.infills, strict=True)]
    return parts.join(infills), ["the time was over"] * sum(is_left)
