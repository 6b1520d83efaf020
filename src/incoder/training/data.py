"""Batches of packed rows in a fixed order, which can be resumed at any batch.

The order is a function of the seed alone (chunks.py). A position in it is four integers, which is all that a
checkpoint holds of the data.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import torch

from incoder.errors import IncoderError
from incoder.model.attention import Segments
from incoder.objective.packing import PackedRows
from incoder.training.chunks import Chunk, Chunks


@dataclass(frozen=True, slots=True)
class Position:
    """The place of the next batch: it starts at row `row` of chunk `chunk` of epoch `epoch`.

    `window` is the width of the chunk's rows, and 0 before the first batch.
    """

    epoch: int = 0
    chunk: int = 0
    row: int = 0
    window: int = 0


class BatchStream:
    """An endless stream of batches, epoch after epoch.

    The last rows of a chunk are dropped if they do not fill a batch, and the rest of a chunk is dropped when
    the window changes.
    """

    def __init__(self, chunks: Chunks, position: Position | None = None) -> None:
        self._chunks = chunks
        self._position = position or Position()
        self._rows: PackedRows | None = None
        self._chunk: Chunk | None = None

    def state(self) -> dict[str, int]:
        """The position of the next batch as plain numbers; `position_of` reads them back."""
        return asdict(self._position)

    @staticmethod
    def position_of(state: Mapping[str, int]) -> Position:
        return Position(**state)

    def next_batch(self, num_rows: int, window: int) -> PackedRows:
        """Return the next `num_rows` rows of `window` positions.

        Raises:
            IncoderError: no chunk has enough rows for a batch.
        """
        if window != self._position.window:
            if self._position.row > 0:  # its documents have been seen in the other window
                self._next_chunk()
            self._position = replace(self._position, window=window)
        for _ in range(len(self._chunks) + 1):
            rows, start = self._chunk_rows(), self._position.row
            if start + num_rows <= len(rows):
                self._position = replace(self._position, row=start + num_rows)
                return rows[start : start + num_rows]
            self._next_chunk()
        raise IncoderError(
            f"the corpus is too small: no chunk of its documents fills {num_rows} rows of {window} tokens; "
            "use a larger corpus, a larger documents_per_chunk, or fewer tokens_per_step"
        )

    def _next_chunk(self) -> None:
        chunk = self._chunks.after(self._current_chunk())
        self._position = replace(self._position, epoch=chunk.epoch, chunk=chunk.number, row=0)

    def _current_chunk(self) -> Chunk:
        return Chunk(self._position.epoch, self._position.chunk, self._position.window)

    def _chunk_rows(self) -> PackedRows:
        chunk = self._current_chunk()
        if self._rows is None or self._chunk != chunk:
            self._rows, self._chunk = self._chunks.rows(chunk), chunk
        return self._rows


@dataclass(frozen=True, slots=True)
class DeviceBatch:
    """A batch as tensors on the model's device; attention is causal and stays within each segment."""

    token_ids_BT: torch.Tensor
    targets_BT: torch.Tensor
    positions_BT: torch.Tensor
    mask: torch.Tensor | Segments | None  # a tensor is [B, 1, T, T]; without a mask a row is one segment


def to_device(rows: PackedRows, device: torch.device, *, is_compiled: bool = False) -> DeviceBatch:
    """Move rows to the device. For a compiled model the mask is a tensor, which needs no recompilation."""
    segments = Segments.of(torch.from_numpy(rows.segment_ids))
    return DeviceBatch(
        token_ids_BT=torch.from_numpy(rows.token_ids).long().to(device),
        targets_BT=torch.from_numpy(rows.targets).long().to(device),
        positions_BT=torch.from_numpy(rows.positions).long().to(device),
        mask=segments.mask().to(device) if is_compiled else segments.to(device),
    )
