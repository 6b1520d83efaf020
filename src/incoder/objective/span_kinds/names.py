"""One occurrence of a name in code."""

import numpy as np

from incoder.objective.span_kinds.block_text import BlockText, Range, one_of

_MAX_TRIES = 8  # for a line of code with a name


def draw(text: BlockText, rng: np.random.Generator) -> Range | None:
    """Draw a name that is no keyword, of a line drawn first; None if a few lines have none."""
    if not text.filled:
        return None
    for _ in range(_MAX_TRIES):
        line = one_of(text.filled, rng)
        names = text.names_in(text.starts[line], text.starts[line + 1])
        if names:
            name = one_of(names, rng)
            if not text.is_in_literal(name[0]):
                return name
    return None
