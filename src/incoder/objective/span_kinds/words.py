"""Some words of one line and what is between them, as when a name or two of a line were never typed."""

import re

import numpy as np

from incoder.objective.span_kinds.block_text import BlockText, Range, one_of

_WORD = re.compile(rb"[A-Za-z0-9_\x80-\xff]+")
_MEAN_WORDS = 2.0
_FROM_INSIDE = 0.3  # the share of spans that begin inside the first word, as while it is typed


def draw(text: BlockText, rng: np.random.Generator) -> Range | None:
    """Draw a geometric number of words of one line, from the start of the first or from inside it."""
    if not text.filled:
        return None
    line = one_of(text.filled, rng)
    words = [match.span() for match in _WORD.finditer(text.data, text.starts[line], text.starts[line + 1])]
    if not words:
        return None
    first = int(rng.integers(len(words)))
    last = min(first + int(rng.geometric(1 / _MEAN_WORDS)), len(words)) - 1
    start, first_end = words[first]
    if rng.random() < _FROM_INSIDE and first_end - start > 1:
        start = int(rng.integers(start + 1, first_end))
    return start, words[last][1]
