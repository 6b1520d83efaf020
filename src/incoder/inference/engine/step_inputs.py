"""What a step of a fixed size reads: the next token of each row, its position, and where its sequence lies.

The tensors stay where they are, so that a recorded graph finds them. Missing rows repeat the first; missing
slots are its first one, which was written: what never was may be NaN. Knows neither network nor cache.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from incoder.inference.engine.sequence import Run


class StepInputs:
    """Tokens for `num_rows` sequences of at most `num_slots`; all numbers are copied at once."""

    def __init__(self, num_rows: int, num_slots: int, device: torch.device) -> None:
        self.num_rows, self.num_slots = num_rows, num_slots
        is_cuda = device.type == "cuda"
        size = num_rows * (num_slots + 2)
        self._numbers = torch.zeros(size, dtype=torch.int32, device=device)
        self.slots_BL, self.positions_B, self.token_ids_B = self._views(self._numbers)
        self._staged = torch.zeros(size, dtype=torch.int32, pin_memory=is_cuda)
        self._staged_views = [view.numpy() for view in self._views(self._staged)]
        self._copied = torch.cuda.Event() if is_cuda else None  # type: ignore[no-untyped-call]
        self._runs: list[list[Run]] = [[] for _ in range(num_rows)]

    def set(self, token_ids: Sequence[int], runs: Sequence[Sequence[Run]]) -> None:
        """The next tokens, and where those of their sequences are, these included."""
        if self._copied is not None:
            self._copied.synchronize()  # what was staged last has left
        num_missing = self.num_rows - len(runs)
        self._staged_views[2][:] = [*token_ids, *[token_ids[0]] * num_missing]
        for row, row_runs in enumerate([*runs, *[runs[0]] * num_missing]):
            self._set_row(row, row_runs)
        self._numbers.copy_(self._staged, non_blocking=True)
        if self._copied is not None:
            self._copied.record()

    def _set_row(self, row: int, runs: Sequence[Run]) -> None:
        slots_BL, positions_B, _ = self._staged_views
        *others, (start, end) = runs
        if self._runs[row] == [*others, (start, end - 1)]:  # one more than last time
            positions_B[row] += 1
            slots_BL[row, positions_B[row]] = end - 1
        else:
            num_tokens = 0
            slots_BL[row] = runs[0].start
            for run in runs:
                slots_BL[row, num_tokens : num_tokens + run.end - run.start] = np.arange(*run)
                num_tokens += run.end - run.start
            positions_B[row] = num_tokens - 1
        self._runs[row] = list(runs)

    def _views(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The slots of each row, [B, L], its position and its token, [B]."""
        sizes = [self.num_rows * self.num_slots, self.num_rows, self.num_rows]
        slots, positions_B, token_ids_B = torch.split(numbers, sizes)
        return slots.view(self.num_rows, self.num_slots), positions_B, token_ids_B
