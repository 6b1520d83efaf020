"""The kinds of targets in rows of causal masking: around the holes, in infills, their first and last."""

import numpy as np
from numpy.typing import NDArray

from incoder.objective.packing import IGNORED, PackedRows
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer


def with_infills_alone(rows: PackedRows, tokenizer: Tokenizer) -> PackedRows:
    """Return the rows with no targets but those in infills, their ends included.

    A model that is trained so sees both sides of every span, and learns nothing of writing left to right.
    """
    in_infills = kinds_of_targets(rows, tokenizer)["infill"]
    targets = np.where(in_infills, rows.targets, IGNORED)
    return PackedRows(rows.token_ids, targets, rows.segment_ids, rows.positions)


def kinds_of_targets(rows: PackedRows, tokenizer: Tokenizer) -> dict[str, NDArray[np.bool_]]:
    """Return a mask over the positions of the rows for each kind of target of training/evaluate.py."""
    is_sentinel = CausalMaskingFormat(tokenizer).ignored_in_loss(rows.token_ids)
    is_end = rows.token_ids == tokenizer.end_of_mask_id
    # Inside an infill the next mark is an end-of-mask; elsewhere it is a sentinel, or there is none.
    width = rows.token_ids.shape[1]
    marks = np.where(is_sentinel | is_end, np.arange(width), width)
    next_marks = np.minimum.accumulate(marks[:, ::-1], axis=1)[:, ::-1]
    next_after = np.pad(next_marks[:, 1:], ((0, 0), (0, 1)), constant_values=width)
    in_infills = np.take_along_axis(np.pad(is_end, ((0, 0), (0, 1))), next_after, axis=1)
    return {
        "kept": ~in_infills,
        "infill": in_infills,
        "first_token": in_infills & is_sentinel,
        "end_of_mask": in_infills & (rows.targets == tokenizer.end_of_mask_id),
    }
