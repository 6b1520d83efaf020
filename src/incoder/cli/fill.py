"""`incoder fill`: fill the holes of files."""

import mmap
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incoder.cli import options
from incoder.cli.batch import Edited, Output, check_output, edit_files, once
from incoder.cli.console import print_note, progress, write_result
from incoder.cli.editing import load_model
from incoder.cli.file_list import FileList, find_files
from incoder.cli.holed_file import HoledFile, read_as_script, read_holed
from incoder.cli.project_memory import open_project, project_of
from incoder.cli.request_options import FILLING, request_of, shown_defaults, with_settings
from incoder.cli.results import candidate_notes, context_notes, described, unfinished_notes
from incoder.cli.streamed_text import StreamedText
from incoder.corpus.text.languages import LANGUAGES, NOTEBOOK, language_named
from incoder.document import DEFAULT_HOLE
from incoder.errors import IncoderError
from incoder.infill_defaults import SEVERAL_TEMPERATURE, num_candidates_for
from incoder.notebooks.json_reader import pattern_in_strings
from incoder.request import InfillRequest
from incoder.request_settings import RequestSettings
from incoder.results import InfillResult
from incoder.sampling_params import DEFAULT_TEMPERATURE

if TYPE_CHECKING:
    from incoder.inference.prompting_model import PromptingModel

# Of options whose default depends on the model or on another option.
_SHOWN_DEFAULTS = {
    "num_candidates": f"1; {num_candidates_for(0)} for a single hole and a small model",
    "temperature": f"{DEFAULT_TEMPERATURE}; {SEVERAL_TEMPERATURE} for several drawn candidates of a hole",
    "rank_by": "syntax",
}


@with_settings(FILLING, shown_defaults(InfillRequest()) | _SHOWN_DEFAULTS)
def fill(
    settings: RequestSettings,
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
    hole: Annotated[str, typer.Option(help="The text that marks a hole.")] = DEFAULT_HOLE,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            help="Skip files in this language, such as Shell, in folders. Repeatable.",
            metavar="LANGUAGE",
            show_default="none",
        ),
    ] = None,
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
    stream: Annotated[
        bool, typer.Option("--stream", help="Show the text of a single file while it is written.")
    ] = False,
    show_prompt: Annotated[
        bool,
        typer.Option(
            "--show-prompt", help="Print what the model would read before the first infill, and fill nothing."
        ),
    ] = False,
    extension: options.Extension = None,
    infilling_format: options.Format = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    adapter: options.Adapter = None,
) -> None:
    """Fill the holes of files, with both sides in view.

    Mark the places where code is missing with <FILL>. The holes are filled in order, and later ones see the
    earlier infills. The filled text goes to standard output unless an option says otherwise; several files
    need --in-place, --diff or --json. A small model writes several candidates for a single hole, a greedy one
    and others that branch off it, and the best is taken. With -n, stderr shows the others. A --temperature
    above 0 or a --seed draws them at random instead. If a file is long, the model reads a window around the
    holes. In a notebook (.ipynb), holes are filled inside cells, with the cells before and after in view.

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
    request = request_of(settings)
    if stream and (in_place or diff or json or show_prompt or not found.is_one or request.num_candidates > 1):
        raise typer.BadParameter(
            "--stream needs a single file and one candidate (-n 1), and excludes --in-place, --diff, --json "
            "and --show-prompt"
        )

    project = project_of(request)

    def load() -> "PromptingModel":
        loaded = load_model(model, revision, device, dtype, infilling_format, adapter)
        if project is not None and not show_prompt:
            # With --ext, requests do not have the path of the file whose text they are.
            open_project(loaded, project, found.paths if extension is not None else ())
        return loaded

    load_once = once(load)

    def template(num_holes: int) -> InfillRequest:
        if stream or show_prompt:
            return request
        return request_of(load_once().infill_settings(settings, num_holes))

    filler = _Filler(
        model,
        load_once,
        once(lambda: {path: read_as_script(path) for path in context or []}),
        hole,
        template,
        extension,
        may_lack_holes=not found.is_one,
        shows_candidates=request.num_candidates > 1,
        as_json=json,
    )
    if show_prompt:
        filler.show_prompt(found.paths[0])
    elif stream:
        filler.stream(found.paths[0])
    else:
        edit_files(found, filler.edit, output)


@dataclass(frozen=True, slots=True)
class _Filler:
    """Fills files one by one with the same settings; the model and the other files are loaded once."""

    model: str
    load: "Callable[[], PromptingModel]"
    read_other_files: Callable[[], dict[str, str]]
    hole: str
    template: Callable[[int], InfillRequest]
    extension: str | None
    may_lack_holes: bool
    shows_candidates: bool
    as_json: bool

    def edit(self, file: str) -> Edited:
        """Fill the holes of a file.

        Raises:
            IncoderError: the file cannot be read, or has no hole although it must have one.
        """
        holed = self._read(file)
        if not holed.parts.num_holes and self.may_lack_holes:
            reason = f"there is no {self.hole} in {'its cells' if holed.is_notebook else 'it'}"
            unchanged = {"file": file, "model": self.model, "text": holed.text, "nothing_to_do": reason}
            return Edited(file, holed.text, holed.text, unchanged, nothing_to_do=reason)
        request, model = self._request(file, holed), self.load()
        total = request.num_sequences * holed.parts.num_holes
        with progress(f"0 of {total} infills written …") as update:
            result = model.run(
                request, on_infill=lambda done, total: update(f"{done} of {total} infills written …")
            )
        return self._edited(file, holed, request, result)

    def stream(self, file: str) -> None:
        """Write the filled text to standard output as it comes, then the notes.

        Raises:
            IncoderError: the file cannot be read, has no hole, or is a notebook.
        """
        holed = self._read(file)
        if holed.is_notebook:
            raise IncoderError(f"{file} is a notebook, whose JSON is written whole; leave out --stream")
        request, model = self._request(file, holed), self.load()
        shown = StreamedText(holed.parts.texts)
        result = model.run(request, on_text=shown.add)
        edited = self._edited(file, holed, request, result)
        shown.finish(edited.new)
        for note in edited.notes:
            print_note(note)

    def show_prompt(self, file: str) -> None:
        """Print what the model would read before the first infill.

        Raises:
            IncoderError: the file cannot be read, or has no hole.
        """
        prompt = self.load().shown_prompt(self._request(file, self._read(file)))
        write_result(prompt.text if prompt.text.endswith("\n") else prompt.text + "\n")
        print_note(f"the model reads these {prompt.num_tokens} tokens, then writes the first infill")
        if prompt.required_prefix:
            print_note(f"token healing has the infill begin with {prompt.required_prefix!r}")

    def _read(self, file: str) -> HoledFile:
        return read_holed(file, self.hole, self.extension)

    def _request(self, file: str, holed: HoledFile) -> InfillRequest:
        self._check_has_hole(file, holed)
        template = self.template(holed.parts.num_holes)
        request = template.for_parts(holed.parts.texts, path=holed.path)
        return replace(request, prompt=replace(request.prompt, other_files=self.read_other_files()))

    def _edited(self, file: str, holed: HoledFile, request: InfillRequest, result: InfillResult) -> Edited:
        new, left = _joined(holed, result)
        other_files, path = request.prompt.other_files, request.prompt.path
        max_new_tokens = request.sampling.max_new_tokens
        shown = {}
        if other_files:
            shown = self.load().shown_files(other_files, path, max_new_tokens=max_new_tokens)
        remedy = "allow more with --max-new-tokens, or end it with --stop"
        return Edited(
            file,
            holed.text,
            new,
            described(file, self.model, holed.as_in_file(result), new) if self.as_json else {},
            num_written=holed.parts.num_holes - len(left),
            left=left,
            notes=[
                *context_notes(other_files, shown),
                *(candidate_notes(result, request.num_candidates) if self.shows_candidates else []),
                *unfinished_notes(result, max_new_tokens, remedy),
            ],
        )

    def _check_has_hole(self, file: str, holed: HoledFile) -> None:
        if not holed.parts.num_holes:
            problem = "has no hole" if holed.text else "is empty"
            problem = "has no hole in its cells" if holed.is_notebook else problem
            raise IncoderError(
                f"{file} {problem}; mark where code is missing with {self.hole} (another marker: --hole)"
            )


def _files_with(hole: str, named: list[str], left_out: list[str]) -> FileList:
    """Return the named files, and the files in named folders that have this marker.

    Raises:
        typer.BadParameter: a language in `left_out` is not known.
    """
    try:
        languages = {language_named(name) for name in left_out}
    except ValueError as error:
        raise typer.BadParameter(f"--leave-out: {error}") from error
    found = find_files(named, lambda path: LANGUAGES.get(path.suffix.lower()) not in languages)
    return FileList(tuple(one for one in found.paths if one in named or _has(one, hole)), found.is_one)


def _has(file: str, hole: str) -> bool:
    """Whether a file has the marker; true for an unreadable file, so that reading it later says why."""
    try:
        with Path(file).open("rb") as opened:
            if not Path(file).stat().st_size:  # an empty file cannot be mapped
                return False
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if Path(file).suffix == NOTEBOOK:
                    return pattern_in_strings(hole).search(content) is not None
                return content.find(hole.encode("utf-8", "surrogateescape")) >= 0
    except OSError:
        return True


def _joined(holed: HoledFile, result: InfillResult) -> tuple[str, list[str]]:
    """Return the text with the best infills, and a reason for each hole that was left with its marker."""
    best = result.candidates[0]
    infills = [
        None if reason == "time" and not infill else in_file
        for reason, infill, in_file in zip(
            best.finish_reasons, best.infills, holed.in_file(best.infills), strict=True
        )
    ]
    return holed.join(infills), ["the time was up"] * infills.count(None)
