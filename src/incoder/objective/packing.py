"""Segments of different lengths are packed into rows of one length, with the targets of each position.

Packing is best-fit decreasing: the longest segment first, each into the fullest row in which it still fits.
Each segment has positions of its own; the model keeps attention within the segment.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from incoder.tokenizer.text_tokenizer import TrainingTokenizer

IGNORED = -100  # the target of a position that the loss leaves out
PADDING = -1  # the segment of a position without a token


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Arrays of int64 [rows, window].

    `targets` are the next tokens of the segments, -100 where the loss leaves a position out. `segment_ids`
    are 0, 1, … in each row, and -1 for padding. `positions` count from 0 in each segment.
    """

    token_ids: NDArray[np.int64]
    targets: NDArray[np.int64]
    segment_ids: NDArray[np.int64]
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.token_ids)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> "PackedRows":
        return PackedRows(
            self.token_ids[rows], self.targets[rows], self.segment_ids[rows], self.positions[rows]
        )


class MarkedFormat(Protocol):
    """An infilling format whose marks the loss leaves out."""

    def ignored_in_loss(self, token_ids: NDArray[np.integer], /) -> NDArray[np.bool_]: ...


def pack(
    segments: Sequence[Sequence[int]],
    window: int,
    *,
    infilling_format: MarkedFormat,
    tokenizer: TrainingTokenizer,
) -> PackedRows:
    """Pack segments of at most `window` tokens into rows; the same segments in order give the same rows.

    Every token is a target but the first of a segment, which nothing predicts, and the marks of the format:
    the sentinels (paper, section 2.1).
    """
    rows = _best_fit([len(segment) for segment in segments], window)
    token_ids = np.full((len(rows), window), tokenizer.pad_id, np.int64)
    segment_ids = np.full_like(token_ids, PADDING)
    positions = np.zeros_like(token_ids)
    for row, members in enumerate(rows):
        end = 0
        for segment_id, member in enumerate(members):
            start, end = end, end + len(segments[member])
            token_ids[row, start:end] = segments[member]
            segment_ids[row, start:end] = segment_id
            positions[row, start:end] = np.arange(end - start)
    targets = np.full_like(token_ids, IGNORED)
    following = token_ids[:, 1:]
    is_trained = (segment_ids[:, 1:] == segment_ids[:, :-1]) & (segment_ids[:, 1:] != PADDING)
    is_trained &= ~infilling_format.ignored_in_loss(following)
    targets[:, :-1][is_trained] = following[is_trained]
    return PackedRows(token_ids, targets, segment_ids, positions)


def _best_fit(lengths: Sequence[int], window: int) -> list[list[int]]:
    """The numbers of the segments in each row."""
    rows: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (room left, row) of the rows that are not full, in rising order
    for segment in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        length = lengths[segment]
        assert 0 < length <= window
        best = bisect_left(rooms, (length, 0))
        if best < len(rooms):
            room, row = rooms.pop(best)
        else:
            room, row = window, len(rows)
            rows.append([])
        rows[row].append(segment)
        if room > length:
            insort(rooms, (room - length, row))
    return rows
