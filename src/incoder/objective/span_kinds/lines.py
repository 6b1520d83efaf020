"""Consecutive lines: whole ones, or from a place in the first line to the end of the last one."""

import numpy as np

from incoder.objective.span_kinds.block_text import BlockText, Range

_WHOLE_LINES, _FROM_FIRST_CHARACTER = 0.5, 0.75  # cumulative shares; the others start inside the line


def draw(text: BlockText, rng: np.random.Generator, mean_lines: float) -> Range | None:
    """Draw a geometric number of lines with the mean `mean_lines`, from one that is not blank to another."""
    if not text.filled:
        return None
    num_lines = min(int(rng.geometric(1 / mean_lines)), len(text.filled))
    first = int(rng.integers(len(text.filled) - num_lines + 1))
    return from_line_to_line(text, rng, text.filled[first], text.filled[first + num_lines - 1])


def from_line_to_line(text: BlockText, rng: np.random.Generator, first: int, last: int) -> Range:
    """Draw the ends of a span from line `first` to line `last`, neither of which is blank.

    Half of the spans are whole lines with their line end. A quarter run from the first character to the end
    of the last line, without its line end. The others start at any later place in the first line.
    """
    kind = rng.random()
    if kind < _WHOLE_LINES:
        return text.starts[first], text.starts[last + 1]
    start, first_end = text.line_content(first)
    end = text.starts[last + 1] - len(text.lines[last]) + len(text.lines[last].rstrip(b"\r\n"))
    if kind >= _FROM_FIRST_CHARACTER:
        start = int(rng.integers(start, first_end))
    return start, end
