"""A file whose holes are filled: the text that the model reads, and the file's text with the infills.

For most files these are the same. A notebook is read as a script, and its infills are written into the JSON
of its cells.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from incoder.cli.options import path_to_tell
from incoder.cli.source import STANDARD_INPUT, is_notebook, name_of, read_source_or_notebook
from incoder.document import Parts
from incoder.errors import IncoderError
from incoder.notebooks.notebook import Notebook
from incoder.notebooks.script import NotebookScript, notebook_extension
from incoder.results import InfillResult


@dataclass(frozen=True, slots=True)
class HoledFile:
    """The `text` of a file, and the `parts` and the `path` that the model sees.

    `in_file` returns infills as they are written into the file, and `join` the file's text with such infills;
    None leaves a hole with its marker.
    """

    text: str
    parts: Parts
    path: PurePath | None
    in_file: Callable[[Sequence[str]], Sequence[str]]
    join: Callable[[Sequence[str | None]], str]
    is_notebook: bool = False

    def as_in_file(self, result: InfillResult) -> InfillResult:
        """Return the result with the infills of all candidates, and their texts, as the file has them."""
        if not self.is_notebook:
            return result
        found = [(one, tuple(self.in_file(one.infills))) for one in result.candidates]
        candidates = [replace(one, infills=infills, text=self.join(infills)) for one, infills in found]
        return replace(result, candidates=tuple(candidates))


def read_holed(file: str, hole: str, extension: str | None = None) -> HoledFile:
    """Read a file, or standard input for `-`. An `extension` replaces that of the file in the prompt.

    Raises:
        IncoderError: it cannot be read, or is a notebook that cannot be edited.
    """
    text = read_source_or_notebook(file)
    if is_notebook(file, text):
        return _holed_notebook(file, text, hole, extension)
    parts = Parts.split(text, hole)

    def join(infills: Sequence[str | None]) -> str:
        return parts.join([hole if infill is None else infill for infill in infills])

    return HoledFile(text, parts, path_to_tell(file, extension), in_file=list, join=join)


def read_as_script(file: str) -> str:
    """Return the text of a file that the model only reads; of a notebook the script of its cells.

    Raises:
        IncoderError: it cannot be read.
    """
    text = read_source_or_notebook(file)
    if not is_notebook(file, text):
        return text
    notebook = _parse(file, text)
    return NotebookScript(notebook.cells, notebook_extension(notebook.metadata)).text


def _holed_notebook(file: str, text: str, hole: str, extension: str | None) -> HoledFile:
    notebook = _parse(file, text)
    own_extension = notebook_extension(notebook.metadata)
    if extension is None and file != STANDARD_INPUT:
        path: PurePath | None = PurePath(file).with_suffix(own_extension)
    else:
        path = path_to_tell(file, own_extension if extension is None else extension)
    script = NotebookScript(notebook.cells, path.suffix if path else "", hole)

    def join(infills: Sequence[str | None]) -> str:
        return notebook.replaced(script.replacements(infills))

    return HoledFile(text, script.parts, path, script.in_cells, join, is_notebook=True)


def _parse(file: str, text: str) -> Notebook:
    try:
        return Notebook.parse(text)
    except IncoderError as error:
        raise IncoderError(f"{name_of(file)} is not a notebook that can be edited: {error}") from error
