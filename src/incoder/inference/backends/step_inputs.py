"""The inputs of a step with a fixed size: each row's token, position and slots.

A sequence that takes several tokens has a row for each, one after the other. The tensors keep their addresses
so that a captured CUDA graph finds them. Padding rows repeat row 0. Padding slots point at the row's first
slot: unwritten slots may hold NaN, and 0 · NaN is NaN. Knows neither network nor cache.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from incoder.inference.cache.sequence import Extent


class StepInputs:
    """`num_rows` tokens of sequences with at most `num_slots` tokens each.

    All numbers are views of one tensor, which one copy fills.
    """

    def __init__(self, num_rows: int, num_slots: int, device: torch.device) -> None:
        self.num_rows, self.num_slots = num_rows, num_slots
        is_cuda = device.type == "cuda"
        size = num_rows * (num_slots + 3)
        self._numbers = torch.zeros(size, dtype=torch.int32, device=device)
        self.slots_BL, self.positions_B, self.num_before_B, self.token_ids_B = self._views(self._numbers)
        self._staged = torch.zeros(size, dtype=torch.int32, pin_memory=is_cuda)
        self._staged_BL = self._views(self._staged)[0].numpy()
        self._staged_3B = self._staged[num_rows * num_slots :].numpy()  # the other three views
        self._copied = torch.cuda.Event() if is_cuda else None  # type: ignore[no-untyped-call]
        self._extents: list[list[Extent]] = [[] for _ in range(num_rows)]

    def set(self, new_ids: Sequence[Sequence[int]], extents: Sequence[Sequence[Extent]]) -> None:
        """Set the new tokens of each sequence, and the extents of all its tokens, the new ones included."""
        if self._copied is not None:
            self._copied.synchronize()  # the staged numbers of the last step have left the host
        extents_of_rows: list[Sequence[Extent]] = []
        positions: list[int] = []
        num_before: list[int] = []
        for ids, sequence_extents in zip(new_ids, extents, strict=True):
            num_tokens = sum(end - start for start, end in sequence_extents)
            extents_of_rows += [sequence_extents] * len(ids)
            positions += range(num_tokens - len(ids), num_tokens)
            num_before += range(len(ids))
        token_ids = [token_id for ids in new_ids for token_id in ids]
        num_padding = self.num_rows - len(token_ids)
        self._staged_3B[:] = [
            number
            for numbers in (positions, num_before, token_ids)
            for number in [*numbers, *numbers[:1] * num_padding]
        ]
        for row, row_extents in enumerate([*extents_of_rows, *extents_of_rows[:1] * num_padding]):
            self._set_slots(row, row_extents)
        self._numbers.copy_(self._staged, non_blocking=True)
        if self._copied is not None:
            self._copied.record()

    def _set_slots(self, row: int, extents: Sequence[Extent]) -> None:
        """Write a row's slots; only those that changed if it is the same sequence as in the last step."""
        slots_L, last_extents = self._staged_BL[row], self._extents[row]
        *others, (start, end) = extents
        if last_extents and last_extents[-1].start == start and last_extents[:-1] == others:
            # The same sequence, longer by new tokens or shorter by rejected drafts.
            last_end = last_extents[-1].end
            offset = sum(extent.end - extent.start for extent in others) - start
            if end > last_end:
                slots_L[offset + last_end : offset + end] = range(last_end, end)
            else:
                slots_L[offset + end : offset + last_end] = extents[0].start
        else:
            num_tokens = 0
            slots_L[:] = extents[0].start
            for extent in extents:
                slots_L[num_tokens : num_tokens + extent.end - extent.start] = np.arange(*extent)
                num_tokens += extent.end - extent.start
        self._extents[row] = list(extents)

    def _views(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return views: the slots of each row's sequence [B, L], its position, `num_before` and token [B].

        `num_before` is the number of rows directly before a row that have tokens of the same sequence.
        """
        sizes = [self.num_rows * self.num_slots, *[self.num_rows] * 3]
        slots, positions_B, num_before_B, token_ids_B = torch.split(numbers, sizes)
        return slots.view(self.num_rows, self.num_slots), positions_B, num_before_B, token_ids_B
