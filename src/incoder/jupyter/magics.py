"""The magics `%%infill` and `%infill`: a cell with holes in, the next cell's source out.

It reads no settings and loads no model itself (session_model.py), and knows no HTML (candidates.py).
"""

import time
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from incoder.cli.results import unfinished_notes
from incoder.document import DEFAULT_HOLE, Parts
from incoder.errors import IncoderError
from incoder.jupyter.candidates import Candidates, FilledCell
from incoder.jupyter.earlier_cells import EarlierCells
from incoder.jupyter.options import MagicOptions, parse_options, with_options
from incoder.jupyter.progress import Progress
from incoder.jupyter.session_model import SessionModel, user_settings
from incoder.notebooks.notebook import Cell
from incoder.notebooks.script import NotebookScript
from incoder.request import InfillRequest
from incoder.request_settings import RequestSettings
from incoder.results import Candidate, InfillResult

if TYPE_CHECKING:
    from incoder.inference.prompting_model import PromptingModel


@magics_class
class InfillMagics(Magics):
    """The magics of one IPython shell."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.earlier_cells = EarlierCells()
        self._model = SessionModel()
        self._last: Candidates | None = None

    @no_var_expand
    @line_cell_magic
    @with_options
    def infill(self, line: str, cell: str | None = None) -> Candidates | None:
        """Fill the holes of a cell, with the code around them and the earlier cells in view.

        Write <FILL> where code is missing:

            %%infill
            def mean(xs):
                return <FILL>

        The filled code becomes the next cell (or this one, with --replace). Several candidates are shown side
        by side; the second one is put into a cell by

            %infill --take 2

        One line is filled by

            %infill -- import nu<FILL>

        `%infill --model NAME` loads a model, which later cells use: a checkpoint folder, a GGUF file,
        owner/model on the hub, or the URL of a completions server, which then gets the code of this and the
        earlier cells. The default is `mini`, which comes with the package.
        """
        try:
            return self._run(line, cell)
        except IncoderError as error:
            raise UsageError(str(error)) from None
        except KeyboardInterrupt:
            raise UsageError("interrupted; the cell is as it was, and no other cell was written") from None

    def _run(self, line: str, cell: str | None) -> Candidates | None:
        if cell is None:
            line, cell = _split_code(line)
        else:
            cell = cell.removesuffix("\n")  # IPython's own
        options = parse_options(self.infill, line)
        if options.help:
            print(self.infill.parser.format_help())
            return None
        if options.take is not None:
            self._take(options.take, options.replace)
            return None
        if cell is None:
            if not options.model:
                raise IncoderError(
                    "no code: write %%infill above code with <FILL>, or %infill -- CODE; see %infill --help"
                )
            self._model.load(options.model, Progress(self.shell))
            return None
        return self._fill(options, cell)

    def _fill(self, options: MagicOptions, code: str) -> Candidates | None:
        settings = user_settings()
        hole = options.hole or settings.get("hole", DEFAULT_HOLE)
        parts = Parts.split(code, hole)
        if not parts.num_holes:
            raise IncoderError(
                f"the cell has no hole; mark where code is missing with {hole} (another marker: --hole)"
            )
        given: Any = {name: settings[name] for name in RequestSettings.__annotations__ if name in settings}
        given |= options.request
        InfillRequest.from_settings(**given)  # refuses values before a model is loaded
        progress = Progress(self.shell)
        model = self._model.load(options.model, progress)
        # The inputs have the running cell, too; it has a marker, and so it is left out.
        inputs = self.shell.history_manager.input_hist_raw if options.use_context else ()
        context = self.earlier_cells.context(inputs, hole)
        script = NotebookScript((*context, Cell("code", code)), hole=hole)
        result = _run(model, _request(model, given, script), progress)
        cells = [FilledCell(parts.texts, _infills(one, script), one.logprob) for one in result.candidates]
        self._last = Candidates(cells, taken=1)
        self.shell.set_next_input(cells[0].text, replace=options.replace)
        return self._last if len(cells) > 1 else None

    def _take(self, number: int, replace: bool) -> None:
        if self._last is None:
            raise IncoderError("there are no candidates yet; fill a cell with %%infill first")
        if not 1 <= number <= len(self._last.cells):
            raise IncoderError(f"--take must be in [1, {len(self._last.cells)}], got {number}")
        self.shell.set_next_input(self._last.cells[number - 1].text, replace=replace)


def _infills(candidate: Candidate, script: NotebookScript) -> tuple[str, ...]:
    """Return the infills of the cell; a hole that no time was left for keeps its marker."""
    infills = zip(script.in_cells(candidate.infills), candidate.finish_reasons, strict=True)
    return tuple(script.hole if reason == "time" and not infill else infill for infill, reason in infills)


def _run(model: "PromptingModel", request: InfillRequest, progress: Progress) -> InfillResult:
    """Answer the request; the progress ends with the number of candidates and what was cut off."""
    start = time.monotonic()
    total = request.num_sequences * request.num_infills
    progress.show(f"0 of {total} infills written …")
    result = model.run(
        request, on_infill=lambda done, total: progress.show(f"{done} of {total} infills written …")
    )
    count = f"{len(result.candidates)} candidate{'s' if len(result.candidates) > 1 else ''}"
    notes = unfinished_notes(result, request.sampling.max_new_tokens, "allow more with --max-new-tokens")
    seconds = time.monotonic() - start
    progress.show("; ".join([f"{count} in {seconds:.1f} s", *notes]), take_long=bool(notes))
    return result


def _request(model: "PromptingModel", settings: RequestSettings, script: NotebookScript) -> InfillRequest:
    request = InfillRequest.from_settings(**model.infill_settings(settings, script.parts.num_holes))
    return request.for_parts(script.parts.texts, path=f"cell{script.extension}")


def _split_code(line: str) -> tuple[str, str | None]:
    """Cut the line of a line magic into options and code: after ` -- `, or all of it if there are no options.

    >>> _split_code("-n 3 -- x = <FILL>"), _split_code("x = <FILL>"), _split_code("--help")
    (('-n 3', 'x = <FILL>'), ('', 'x = <FILL>'), ('--help', None))
    """
    if line and not line.startswith("-"):
        return "", line
    options, dashes, code = f" {line} ".partition(" -- ")
    return options.strip(), code.strip() if dashes else None
