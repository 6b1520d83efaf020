"""A notebook as one script with holes, which is what a model reads, and the infills back in its cells.

In training, code models read far more scripts than notebooks, and the stopping rules and the check of
candidates understand a script. So the text of other cells, and syntax that only IPython knows (magics.py), is
in comments, and blank lines separate the cells. Marks between them (`# %%`) are left out: beside them, `mini`
ended many infills at once, as if the next cell began at the hole.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

from incoder.comments import commented
from incoder.corpus.text.languages import EXTENSIONS_OF, language_named
from incoder.document import DEFAULT_HOLE, Parts
from incoder.errors import IncoderError
from incoder.notebooks.magics import commented_magics
from incoder.notebooks.notebook import Cell, Replacement

_PYTHON = ".py"
_EXTENSION = re.compile(r"\.\w{1,10}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PRIVATE_USE = range(0xF0000, 0xFFFFE)


@dataclass(frozen=True)
class NotebookScript:
    """The cells of a notebook as a script in the language with this extension, with a hole at each marker.

    >>> cells = (Cell("markdown", "# Sums"), Cell("code", "%pip list\\nx = <FILL>"))
    >>> print("…".join(NotebookScript(cells).parts.texts), end="")
    # # Sums
    <BLANKLINE>
    # %pip list
    x = …
    """

    cells: tuple[Cell, ...]
    extension: str = _PYTHON
    hole: str = DEFAULT_HOLE

    @cached_property
    def parts(self) -> Parts:
        """The script, cut at its holes."""
        hole = _unused_character(cell.source for cell in self.cells)
        return Parts.split("\n".join(self._cell(cell, hole) for cell in self.cells if cell.source), hole)

    @property
    def text(self) -> str:
        """The script with the markers of its holes."""
        return self.parts.join([self.hole] * self.parts.num_holes)

    def in_cells(self, infills: Sequence[str]) -> list[str]:
        """Return the infills as they are written into the cells: without comment marks, with their line ends.

        >>> NotebookScript((Cell("markdown", "<FILL>"),)).in_cells(["one\\n# two"])
        ['one\\ntwo']
        """
        cells = [cell for cell in self.cells for _ in range(cell.source.count(self.hole))]
        return [self._in_cell(cell, infill) for cell, infill in zip(cells, infills, strict=True)]

    def replacements(self, infills: Sequence[str | None]) -> list[Replacement]:
        """Return the parts of the cells that infills as of `in_cells` replace; None leaves a hole."""
        left, found = iter(infills), []
        for index, cell in enumerate(self.cells):
            for match in re.finditer(re.escape(self.hole), cell.source):
                infill = next(left)
                if infill is not None:
                    found.append(Replacement(index, *match.span(), infill))
        return found

    def _cell(self, cell: Cell, hole: str) -> str:
        source = _SURROGATE.sub("\ufffd", cell.source.replace(self.hole, hole)).replace("\r\n", "\n")
        if cell.kind != "code":
            source = self._commented(source)
        elif self.extension == _PYTHON:
            source = commented_magics(source)
        return source if source.endswith("\n") else source + "\n"

    def _in_cell(self, cell: Cell, infill: str) -> str:
        if cell.kind != "code":
            infill = infill.replace(f"\n{self._commented('')} ", "\n")
        return infill.replace("\n", "\r\n") if "\r\n" in cell.source else infill

    def _commented(self, text: str) -> str:
        return "\n".join(commented(text.split("\n"), PurePath(f"script{self.extension}")))


def notebook_extension(metadata: Any) -> str:
    """Return the file extension of a notebook's language by its metadata; Python's if they name none.

    >>> notebook_extension({"kernelspec": {"language": "julia"}}), notebook_extension({})
    ('.jl', '.py')
    """
    info, kernel = (_member(metadata, name) for name in ("language_info", "kernelspec"))
    extension = _member(info, "file_extension")
    if isinstance(extension, str) and _EXTENSION.fullmatch(extension):
        return extension.lower()
    for name in (_member(info, "name"), _member(kernel, "language")):
        if isinstance(name, str):
            try:
                return EXTENSIONS_OF[language_named(name)].split()[0]
            except ValueError:
                return ""
    return _PYTHON


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _unused_character(texts: Iterable[str]) -> str:
    """Return a character that is in none of the texts."""
    used = set().union(*texts)
    found = next((code for code in _PRIVATE_USE if chr(code) not in used), None)
    if found is None:
        raise IncoderError("the cells have all characters for private use, so none is left to mark the holes")
    return chr(found)
