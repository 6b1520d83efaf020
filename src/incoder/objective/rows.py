"""From documents to training rows: masked blocks, packed; a function of (seed, epoch, document) alone."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from incoder.objective.blocks import masked_blocks
from incoder.objective.masking import Masker, MaskingConfig
from incoder.objective.packing import PackedRows, pack
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer

_STREAM = 0x6D61736B  # "mask": apart from other random numbers that are drawn from the same seed


class Documents(Protocol):
    """Encoded documents by number, each beginning with the document start."""

    def document(self, index: int, /) -> NDArray[np.int64]: ...


def document_rng(seed: int, epoch: int, document: int) -> np.random.Generator:
    """The random numbers with which this document is masked in this epoch; all three are 0 or more."""
    return np.random.default_rng((seed, epoch, document, _STREAM))


def training_rows(
    documents: Documents,
    indices: Sequence[int],
    *,
    epoch: int,
    seed: int,
    window: int,
    masking: MaskingConfig,
    infilling_format: CausalMaskingFormat,
    tokenizer: Tokenizer,
) -> PackedRows:
    """Mask these documents and pack them together into rows of `window` tokens.

    A document is masked in the same way whatever documents are beside it. Blocks of one token, in which
    nothing predicts anything, are left out.

    Raises:
        IncoderError: a document holds special tokens elsewhere than at its start.
    """
    masker = Masker(masking, infilling_format, tokenizer)
    segments = [
        block
        for index in indices
        for block in masked_blocks(
            documents.document(index), masker, window, document_rng(seed, epoch, index)
        )
        if len(block) > 1
    ]
    return pack(segments, window, infilling_format=infilling_format, tokenizer=tokenizer)
