"""From documents to training rows of masked blocks, as a function of (seed, epoch, document) alone."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from incoder.objective.blocks import masked_blocks
from incoder.objective.fill_in_the_middle import FillInTheMiddle
from incoder.objective.masking import Masker, MaskingConfig
from incoder.objective.packing import PackedRows, pack
from incoder.tokenizer.fill_in_the_middle import FillInTheMiddleFormat
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.text_tokenizer import TrainingTokenizer
from incoder.tokenizer.tokenizer import Tokenizer

_STREAM = 0x6D61736B  # "mask": keeps these numbers apart from others that are drawn with the same seed


class Documents(Protocol):
    """Encoded documents by number; InCoder's have the document start as their first token."""

    def document(self, index: int, /) -> NDArray[np.int64]: ...


def document_rng(seed: int, epoch: int, document: int) -> np.random.Generator:
    """Return the generator that masks this document in this epoch; all three arguments are 0 or more.

    >>> document_rng(seed=0, epoch=1, document=2).random() == document_rng(0, 1, 2).random()
    True
    """
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

    A document is masked in the same way whatever other documents there are. Blocks of one token, which have
    no target, are left out.

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


def fill_in_the_middle_rows(
    documents: Documents,
    indices: Sequence[int],
    *,
    epoch: int,
    seed: int,
    window: int,
    masking: MaskingConfig,
    formats: Sequence[FillInTheMiddleFormat],
    tokenizer: TrainingTokenizer,
) -> PackedRows:
    """Do as `training_rows`, for a model of another family in its formats."""
    writer = FillInTheMiddle(masking, formats, tokenizer)
    segments = [
        block.token_ids
        for index in indices
        for block in writer.blocks(documents.document(index), window, document_rng(seed, epoch, index))
        if len(block.token_ids) > 1
    ]
    return pack(segments, window, infilling_format=formats[0], tokenizer=tokenizer)
