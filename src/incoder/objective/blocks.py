"""Documents longer than the window are cut into consecutive blocks, and each block is masked by itself.

A whole masked block fits into the window. In the released code the last span of a full block lost its
end-of-mask, because blocks were cut before the sentinels were added. Masking after cutting is what Bavarian
et al. (arXiv 2207.14255) call context-level. Knows no rows.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from incoder.objective.masking import Masker
from incoder.tokenizer.infilling_format import CausalMaskingFormat

_TOKENS_PER_SPAN = 3  # its sentinel twice and the end-of-mask
_EXTRA_SENTINEL = 1


def masked_blocks(
    document: NDArray[np.integer], masker: Masker, window: int, rng: np.random.Generator
) -> Iterator[list[int]]:
    """Yield the masked blocks of a document, each of at most `window` tokens.

    The number of spans is drawn first, and the block has as much text as their marks leave of the window.
    Span boundaries inside tokens cost a few tokens more; the text of those goes into the next block.

    Raises:
        IncoderError: a special token elsewhere than at the document's start.
    """
    start = 0
    while start < len(document):
        most_spans = (window - _EXTRA_SENTINEL) // (_TOKENS_PER_SPAN + 1)  # a span has a token at least
        num_spans = min(masker.draw_num_spans(rng), most_spans)
        size = len(document) - start
        if size + _TOKENS_PER_SPAN * num_spans > window:
            size = window - _TOKENS_PER_SPAN * num_spans - (_EXTRA_SENTINEL if num_spans else 0)
        masked, size = _masked_block(document[start:], size, num_spans, masker, window, rng)
        yield masked
        start += size


def _masked_block(
    rest: NDArray[np.integer],
    size: int,
    num_spans: int,
    masker: Masker,
    window: int,
    rng: np.random.Generator,
) -> tuple[list[int], int]:
    """Mask the first `size` tokens of the rest of a document, or fewer; return also how many.

    If not even one token fits with its marks, the block is left plain.
    """
    while size > 0:
        masked = masker.mask(rest[:size], num_spans, rng, continues=size < len(rest))
        excess = len(masked) - window
        if excess <= 0:
            return masked, size
        shortened, num_left_out = _shortened(masked, rest[:size], excess, masker.infilling_format)
        size -= num_left_out
        if len(shortened) <= window:
            return shortened, size
        # A span ends where the block does, so nothing can be left out: draw again, with fewer tokens.
    size = min(window, len(rest))
    return rest[:size].tolist(), size


def _shortened(
    masked: list[int], block: NDArray[np.integer], excess: int, infilling_format: CausalMaskingFormat
) -> tuple[list[int], int]:
    """Leave out the end of the block if it is kept text with its original tokens; return also how many."""
    kept, spans, continues = infilling_format.parse(masked)
    excess += not continues  # there will be an extra sentinel
    if kept[-1][-excess:] != block[-excess:].tolist():
        return masked, excess
    kept[-1] = kept[-1][:-excess]
    return infilling_format.write(kept, spans, continues=True), excess
