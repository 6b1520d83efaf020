"""Characters inside one line, some of which stays on both sides."""

import numpy as np

from incoder.objective.span_kinds.block_text import BlockText, Range, one_of

_MAX_CHARACTERS = 40


def draw(text: BlockText, rng: np.random.Generator) -> Range | None:
    """Draw up to 40 bytes of a line, or the middle of its content if that is shorter; masking rounds to
    characters."""
    if not text.filled:
        return None
    start, end = text.line_content(one_of(text.filled, rng))
    if end - start < 3:
        return None
    size = int(rng.integers(1, min(_MAX_CHARACTERS, end - start - 2) + 1))
    first = int(rng.integers(start + 1, end - size))
    return first, first + size
