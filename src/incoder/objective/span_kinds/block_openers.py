"""Lines of which the last opens a block that continues in the text after the span."""

from itertools import pairwise

import numpy as np

from incoder.objective.span_kinds.block_text import BlockText, Range, one_of
from incoder.objective.span_kinds.lines import from_line_to_line


def draw(text: BlockText, rng: np.random.Generator, mean_lines: float) -> Range | None:
    """Draw a geometric number of lines that end with an opener: the line after it is indented deeper."""
    openers = [
        number
        for number, (line, following) in enumerate(pairwise(text.filled))
        if text.lines[line].rstrip().endswith((b":", b"{"))
        and text.indent_of(following) > text.indent_of(line)
    ]
    if not openers:
        return None
    last = one_of(openers, rng)
    first = max(0, last + 1 - int(rng.geometric(1 / mean_lines)))
    return from_line_to_line(text, rng, text.filled[first], text.filled[last])
