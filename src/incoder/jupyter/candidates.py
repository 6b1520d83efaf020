"""The candidates of a filled cell, side by side in HTML, one below the other as text. Knows no model."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain, zip_longest

_CELL = "text-align:left;vertical-align:top"


@dataclass(frozen=True, slots=True)
class FilledCell:
    """A cell's code with the infills of one candidate, and their mean log-probability."""

    parts: tuple[str, ...]
    infills: tuple[str, ...]
    logprob: float

    @property
    def text(self) -> str:
        pieces = chain.from_iterable(zip_longest(self.parts, self.infills, fillvalue=""))
        return "".join(pieces)


@dataclass(frozen=True)
class Candidates:
    """All candidates of one cell, the best first; `taken` is the number of the one in the next cell, from 1.

    >>> print(Candidates((FilledCell(("x = ", ""), ("1",), -0.5), FilledCell(("x = ", ""), ("2",), -1)), 1))
    candidate 1 (in the next cell), mean log-probability -0.500
        x = 1
    candidate 2 (%infill --take 2), mean log-probability -1.000
        x = 2
    """

    cells: Sequence[FilledCell]
    taken: int

    def __repr__(self) -> str:
        return "\n".join(
            f"candidate {number} ({self._use(number)}), mean log-probability {cell.logprob:.3f}\n"
            + "\n".join(f"    {line}" for line in cell.text.split("\n"))
            for number, cell in enumerate(self.cells, start=1)
        )

    def _repr_html_(self) -> str:
        """Return a table with a column for each candidate; its infills are marked."""
        heads = "".join(
            f'<th scope="col" style="{_CELL}">candidate {number}<br><small>{escape(self._use(number))}<br>'
            f"mean log-probability {cell.logprob:.3f}</small></th>"
            for number, cell in enumerate(self.cells, start=1)
        )
        codes = "".join(f'<td style="{_CELL}"><pre>{_marked(cell)}</pre></td>' for cell in self.cells)
        return f"<table><thead><tr>{heads}</tr></thead><tbody><tr>{codes}</tr></tbody></table>"

    def _use(self, number: int) -> str:
        return "in the next cell" if number == self.taken else f"%infill --take {number}"


def _marked(cell: FilledCell) -> str:
    infills = [f"<mark>{escape(infill)}</mark>" for infill in cell.infills]
    return "".join(chain.from_iterable(zip_longest(map(escape, cell.parts), infills, fillvalue="")))
