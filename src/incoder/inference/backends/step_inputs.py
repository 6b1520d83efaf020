"""What a step of a fixed size reads: the token of each row, its position, and where its sequence lies.

A sequence that reads several tokens has a row for each, one after the other. The tensors stay where they are,
so that a recorded graph finds them. Missing rows repeat the first; missing slots are the first one of their
row, which was written: what never was may be NaN. Knows neither network nor cache.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from incoder.inference.cache.sequence import Run


class StepInputs:
    """`num_rows` tokens of sequences of at most `num_slots`; all numbers are copied at once."""

    def __init__(self, num_rows: int, num_slots: int, device: torch.device) -> None:
        self.num_rows, self.num_slots = num_rows, num_slots
        is_cuda = device.type == "cuda"
        size = num_rows * (num_slots + 3)
        self._numbers = torch.zeros(size, dtype=torch.int32, device=device)
        self.slots_BL, self.positions_B, self.num_before_B, self.token_ids_B = self._views(self._numbers)
        self._staged = torch.zeros(size, dtype=torch.int32, pin_memory=is_cuda)
        self._staged_BL = self._views(self._staged)[0].numpy()
        self._staged_3B = self._staged[num_rows * num_slots :].numpy()  # the other views, side by side
        self._copied = torch.cuda.Event() if is_cuda else None  # type: ignore[no-untyped-call]
        self._runs: list[list[Run]] = [[] for _ in range(num_rows)]

    def set(self, new_ids: Sequence[Sequence[int]], runs: Sequence[Sequence[Run]]) -> None:
        """The tokens that each sequence reads, and where all of its tokens are, these included."""
        if self._copied is not None:
            self._copied.synchronize()  # what was staged last has left
        runs_of_rows: list[Sequence[Run]] = []
        positions: list[int] = []
        num_before: list[int] = []
        for ids, sequence_runs in zip(new_ids, runs, strict=True):
            num_tokens = sum(end - start for start, end in sequence_runs)
            runs_of_rows += [sequence_runs] * len(ids)
            positions += range(num_tokens - len(ids), num_tokens)
            num_before += range(len(ids))
        token_ids = [token_id for ids in new_ids for token_id in ids]
        num_missing = self.num_rows - len(token_ids)
        self._staged_3B[:] = [
            number
            for numbers in (positions, num_before, token_ids)
            for number in [*numbers, *numbers[:1] * num_missing]
        ]
        for row, row_runs in enumerate([*runs_of_rows, *runs_of_rows[:1] * num_missing]):
            self._set_slots(row, row_runs)
        self._numbers.copy_(self._staged, non_blocking=True)
        if self._copied is not None:
            self._copied.record()

    def _set_slots(self, row: int, runs: Sequence[Run]) -> None:
        slots_L, last_runs = self._staged_BL[row], self._runs[row]
        *others, (start, end) = runs
        if last_runs and last_runs[-1].start == start and last_runs[:-1] == others:
            # The sequence of last time: it has grown, or what was guessed did not come.
            last_end = last_runs[-1].end
            behind = sum(run.end - run.start for run in others) - start
            if end > last_end:
                slots_L[behind + last_end : behind + end] = range(last_end, end)
            else:
                slots_L[behind + end : behind + last_end] = runs[0].start
        else:
            num_tokens = 0
            slots_L[:] = runs[0].start
            for run in runs:
                slots_L[num_tokens : num_tokens + run.end - run.start] = np.arange(*run)
                num_tokens += run.end - run.start
        self._runs[row] = list(runs)

    def _views(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The slots of each row's sequence, [B, L]; its position, how many of the rows right before it have
        tokens of the same sequence, and its token, [B].
        """
        sizes = [self.num_rows * self.num_slots, *[self.num_rows] * 3]
        slots, positions_B, num_before_B, token_ids_B = torch.split(numbers, sizes)
        return slots.view(self.num_rows, self.num_slots), positions_B, num_before_B, token_ids_B
