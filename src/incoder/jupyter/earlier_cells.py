"""The cells that ran before in a session, as context for a cell with holes.

The definitions that a cell uses are usually in them. Cells that failed are left out, as they are about to be
corrected, and so are cells with these magics. Of cells that ran twice the last time counts.
"""

from collections.abc import Sequence
from typing import Any

from incoder.notebooks.notebook import Cell

_MAX_LENGTH = 65_536  # characters: more than the models' windows hold
_OURS = ("%%infill", "%infill", "%load_ext incoder", "%reload_ext incoder")


class EarlierCells:
    """Remembers the cells that failed; IPython has the inputs of all cells."""

    def __init__(self) -> None:
        self._failed: set[str] = set()

    def after_cell(self, result: Any) -> None:
        """Note how a cell ended (IPython's event `post_run_cell`)."""
        info = getattr(result, "info", None)
        source = getattr(info, "raw_cell", None)
        if isinstance(source, str):
            (self._failed.discard if result.success else self._failed.add)(source.rstrip())

    def context(self, inputs: Sequence[str], hole: str) -> tuple[Cell, ...]:
        """Return these inputs of earlier cells as context, the latest last.

        Cells with the marker `hole` are left out, since it is text in them.

        >>> [cell.source for cell in EarlierCells().context(["a = 1", "%infill --help", "b", "a = 1"], "?")]
        ['b', 'a = 1']
        """
        found: list[str] = []
        length = 0
        for source in (one.rstrip() for one in reversed(inputs)):
            is_left_out = source in found or source in self._failed or hole in source
            if not source or is_left_out or source.lstrip().startswith(_OURS):
                continue
            length += len(source)
            if length > _MAX_LENGTH:
                break
            found.append(source)
        return tuple(Cell("code", source) for source in reversed(found))
