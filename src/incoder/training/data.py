"""Batches of packed rows in a fixed order that can be picked up anywhere.

The order is a function of the seed alone (chunks.py). A position is four integers, so a checkpoint holds
those and no rows.
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
    """Where the stream stands: the next batch begins at row `row` of chunk `chunk` of epoch `epoch`.

    `window` is the width that the chunk's rows were packed to, 0 before the first batch.
    """

    epoch: int = 0
    chunk: int = 0
    row: int = 0
    window: int = 0


class BatchStream:
    """An endless stream of batches out of chunks of rows.

    The last rows of a chunk that do not fill a batch are dropped, as is the rest of a chunk when the window
    changes.
    """

    def __init__(self, chunks: Chunks, position: Position | None = None) -> None:
        self._chunks = chunks
        self._position = position or Position()
        self._rows: PackedRows | None = None
        self._chunk: Chunk | None = None

    def state(self) -> dict[str, int]:
        """The position of the next batch, to be given back through `Position`."""
        return asdict(self._position)

    @staticmethod
    def position_of(state: Mapping[str, int]) -> Position:
        return Position(**state)

    def next_batch(self, num_rows: int, window: int) -> PackedRows:
        """The next `num_rows` rows of `window` positions.

        Raises:
            IncoderError: no chunk fills a batch.
        """
        if window != self._position.window:
            if self._position.row > 0:  # the documents of this chunk have been seen at the other window
                self._next_chunk()
            self._position = replace(self._position, window=window)
        for _ in range(len(self._chunks) + 1):
            rows, start = self._chunk_rows(), self._position.row
            if start + num_rows <= len(rows):
                self._position = replace(self._position, row=start + num_rows)
                return rows[start : start + num_rows]
            self._next_chunk()
        raise IncoderError(
            f"the corpus is too small: none of its chunks of documents gives {num_rows} rows of {window} "
            "tokens; use a larger corpus, or fewer tokens_per_step"
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
    """A batch as the model takes it; attention is causal and stays within one's own segment."""

    token_ids_BT: torch.Tensor
    targets_BT: torch.Tensor
    positions_BT: torch.Tensor
    mask: torch.Tensor | Segments  # a tensor is [B, 1, T, T]


def to_device(rows: PackedRows, device: torch.device, *, is_compiled: bool = False) -> DeviceBatch:
    """Move rows to the device; a compiled model takes tensors only."""
    segments = Segments.of(torch.from_numpy(rows.segment_ids))
    return DeviceBatch(
        token_ids_BT=torch.from_numpy(rows.token_ids).long().to(device),
        targets_BT=torch.from_numpy(rows.targets).long().to(device),
        positions_BT=torch.from_numpy(rows.positions).long().to(device),
        mask=segments.mask().to(device) if is_compiled else segments.to(device),
    )
