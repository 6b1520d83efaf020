"""Arguments, parameters and elements: the parts between the commas of a pair of brackets."""

import numpy as np

from incoder.objective.span_kinds.block_text import BlockText, Range, one_of

_MAX_BYTES = 200
_ONE, _THE_REST = 0.5, 0.8  # cumulative shares; the others are all items of the brackets


def draw(text: BlockText, rng: np.random.Generator) -> Range | None:
    """Draw one item of a pair of brackets, one and all that follow it, or all items."""
    pairs = [pair.items for pair in text.brackets if pair.items]
    if not pairs:
        return None
    items, share = one_of(pairs, rng), rng.random()
    first = int(rng.integers(len(items))) if share < _THE_REST else 0
    last = first if share < _ONE else len(items) - 1
    start, end = items[first][0], items[last][1]
    return (start, end) if end - start <= _MAX_BYTES else None
