"""The content of a string literal on one line, between its quotes."""

import numpy as np

from incoder.objective.span_kinds.block_text import BlockText, Range, one_of

_FROM_INSIDE = 0.3  # the share of spans that leave the string's beginning


def draw(text: BlockText, rng: np.random.Generator) -> Range | None:
    """Draw all of a string's content, or its end."""
    contents = [(start, end) for start, end in text.strings if b"\n" not in text.data[start:end]]
    if not contents:
        return None
    start, end = one_of(contents, rng)
    if rng.random() < _FROM_INSIDE:
        start = int(rng.integers(start, end))
    return start, end
