"""Documents longer than the window are cut into consecutive blocks, and each block is masked by itself.

A masked block fits into the window whole, so no span loses its end-of-mask, as the last one of a full block
did in the released code. Masking after cutting is FIM's "context-level" masking. Knows no rows.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from incoder.objective.masking import Masker

_TOKENS_PER_SPAN = 3  # its sentinel twice and the end-of-mask
_EXTRA_SENTINEL = 1


def masked_blocks(
    document: NDArray[np.integer], masker: Masker, window: int, rng: np.random.Generator
) -> Iterator[list[int]]:
    """The blocks of a document, masked, each of at most `window` tokens.

    The number of spans is drawn first, and the block takes what they leave of the window. Spans with edges
    inside of tokens need a few more; then the block is made shorter by these and masked anew. One that would
    lose half of the window that way is left plain.
    """
    start = 0
    while start < len(document):
        num_spans = min(masker.draw_num_spans(rng), (window - _EXTRA_SENTINEL) // (_TOKENS_PER_SPAN + 1))
        room = window - _TOKENS_PER_SPAN * num_spans
        size = len(document) - start
        if size > room:
            size = room - (_EXTRA_SENTINEL if num_spans else 0)
        while True:
            block = document[start : start + size]
            masked = masker.mask(block, num_spans, rng, continues=start + size < len(document))
            excess = len(masked) - window
            if excess <= 0:
                break
            size -= excess
            if size < window // 2:
                num_spans, size = 0, min(window, len(document) - start)
        yield masked
        start += size
