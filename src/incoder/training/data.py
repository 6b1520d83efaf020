"""Batches of packed rows in a fixed order that can be picked up anywhere.

The order is a function of the seed alone: each epoch permutes all documents, some of them more than once or
not at all where kinds have weights, takes them in groups, packs each group into rows and shuffles these. A
position is four integers, so a checkpoint holds those and no rows.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from incoder.corpus.shards import TokenShard
from incoder.errors import IncoderError
from incoder.objective.masking import MaskingConfig
from incoder.objective.packing import PackedRows
from incoder.objective.rows import training_rows
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Position:
    """Where the stream stands: the next batch begins at row `row` of group `group` of epoch `epoch`.

    `window` is the width that the group's rows were packed to, 0 before the first batch.
    """

    epoch: int = 0
    group: int = 0
    row: int = 0
    window: int = 0


class BatchStream:
    """An endless stream of batches over a shard's documents.

    Every epoch masks each document anew, from (seed, epoch, document) alone. The last rows of a group that do
    not fill a batch are dropped, as is the rest of a group when the window changes.
    """

    def __init__(
        self,
        shard: TokenShard,
        tokenizer: Tokenizer,
        masking: MaskingConfig,
        *,
        seed: int,
        documents_per_group: int,
        weights: Mapping[str, float] | None = None,
        position: Position | None = None,
    ) -> None:
        self._shard = shard
        self._tokenizer = tokenizer
        self._format = CausalMaskingFormat(tokenizer)
        self._masking = masking
        self._seed = seed
        self._documents_per_group = documents_per_group
        self._weights = shard.weights(weights) if weights else None
        self._position = position or Position()
        self._rows: PackedRows | None = None
        self._rows_key: Position | None = None

    def state(self) -> dict[str, int]:
        """The position of the next batch, to be given back through `Position`."""
        return asdict(self._position)

    @staticmethod
    def position_of(state: Mapping[str, int]) -> Position:
        return Position(**state)

    def next_batch(self, num_rows: int, window: int) -> PackedRows:
        """The next `num_rows` rows of `window` positions.

        Raises:
            IncoderError: no group of the shard fills a batch.
        """
        if window != self._position.window:
            if self._position.row > 0:  # the documents of this group have been seen at the other window
                self._next_group()
            self._position = replace(self._position, window=window)
        for _ in range(self._num_groups + 1):
            rows, start = self._group_rows(), self._position.row
            if start + num_rows <= len(rows.token_ids):
                self._position = replace(self._position, row=start + num_rows)
                return rows[start : start + num_rows]
            self._next_group()
        raise IncoderError(
            f"the corpus is too small: none of its groups of documents gives {num_rows} rows of {window} "
            "tokens; use a larger corpus, or fewer tokens_per_step"
        )

    @property
    def _num_groups(self) -> int:
        num_documents = len(self._shard) if self._weights is None else int(self._weights.sum())
        return max(1, num_documents // self._documents_per_group)

    def _next_group(self) -> None:
        epoch, group = self._position.epoch, self._position.group + 1
        if group == self._num_groups:
            epoch, group = epoch + 1, 0
        self._position = replace(self._position, epoch=epoch, group=group, row=0)

    def _group_rows(self) -> PackedRows:
        key = replace(self._position, row=0)
        if self._rows is None or self._rows_key != key:
            self._rows = self._make_rows(key.epoch, key.group, key.window)
            self._rows_key = key
        return self._rows

    def _order(self, epoch: int) -> NDArray[np.integer]:
        rng = np.random.default_rng((self._seed, epoch))
        if self._weights is None:
            return rng.permutation(len(self._shard))
        whole = np.floor(self._weights)
        times = whole + (rng.random(len(whole)) < self._weights - whole)
        return rng.permutation(np.repeat(np.arange(len(whole)), times.astype(np.int64)))

    def _make_rows(self, epoch: int, group: int, window: int) -> PackedRows:
        indices = np.array_split(self._order(epoch), self._num_groups)[group]
        rows = training_rows(
            self._shard,
            [int(index) for index in indices],
            epoch=epoch,
            seed=self._seed,
            window=window,
            masking=self._masking,
            infilling_format=self._format,
            tokenizer=self._tokenizer,
        )
        shuffled = np.random.default_rng((self._seed, epoch, group)).permutation(len(rows.token_ids))
        return rows[shuffled]


@dataclass(frozen=True, slots=True)
class DeviceBatch:
    """A batch as the model takes it; the mask is [B, 1, T, T], True where a query may attend to a key."""

    token_ids_BT: torch.Tensor
    targets_BT: torch.Tensor
    positions_BT: torch.Tensor
    mask_B1TT: torch.Tensor


def to_device(rows: PackedRows, device: torch.device) -> DeviceBatch:
    """Move rows to the device; attention is causal and stays within one's own segment."""
    segments_BT = torch.from_numpy(rows.segment_ids).to(device)
    same_segment = segments_BT[:, None, :, None] == segments_BT[:, None, None, :]
    return DeviceBatch(
        token_ids_BT=torch.from_numpy(rows.token_ids).long().to(device),
        targets_BT=torch.from_numpy(rows.targets).long().to(device),
        positions_BT=torch.from_numpy(rows.positions).long().to(device),
        mask_B1TT=same_segment.tril(),
    )
