"""Steps in which every sequence reads one token, as CUDA graphs: recorded once for each size, then replayed.

Launching the many short kernels of such a step one by one takes longer than they run. A graph launches them
all at once, but its tensors stay where they are and as large as they were. So the numbers of rows and slots
are rounded up: missing rows repeat the first, and write what it writes to where it does; missing slots are
masked. The graph knows nothing of prefixes that rows share. Knows no blocks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from incoder.inference.engine.attention import attend_gathered
from incoder.inference.engine.sequence import Run
from incoder.inference.engine.store import BlockStore
from incoder.inference.token_step import TokenStep

_NUM_WARM_UPS = 2
_FEWEST_SLOTS = 256


class FixedSizeStep:
    """One token each for `num_rows` sequences of at most `num_slots`; its inputs stay in their place."""

    def __init__(self, step: TokenStep, store: BlockStore, num_rows: int, num_slots: int) -> None:
        device = store.keys[0].device
        self._step, self._store = step, store
        self._token_ids_B = torch.zeros(num_rows, dtype=torch.long, device=device)
        self._positions_B = torch.zeros(num_rows, dtype=torch.long, device=device)
        self._slots_BL = torch.zeros(num_rows, num_slots, dtype=torch.long, device=device)

    def set(self, token_ids: Sequence[int], runs: Sequence[Sequence[Run]]) -> None:
        """The next tokens, and where those of their sequences are, these included."""
        num_rows, num_slots = self._slots_BL.shape
        slots_BL = torch.empty(num_rows, num_slots, dtype=torch.long)
        positions = []
        for slots_L, row_runs in zip(slots_BL, runs, strict=False):
            slots = torch.cat([torch.arange(*run) for run in row_runs])
            slots_L[: len(slots)] = slots
            slots_L[len(slots) :] = slots[0]  # never written, it may be NaN, and zero times that as well
            positions.append(len(slots) - 1)
        slots_BL[len(runs) :] = slots_BL[0]
        num_missing = num_rows - len(runs)
        self._slots_BL.copy_(slots_BL)
        self._positions_B.copy_(torch.tensor(positions + positions[:1] * num_missing))
        self._token_ids_B.copy_(torch.tensor([*token_ids, *[token_ids[0]] * num_missing]))

    def __call__(self) -> Tensor:
        """The logits (num_rows × V); the keys and values of the new tokens are stored."""
        positions_B1 = self._positions_B[:, None]
        new_slots_B = self._slots_BL.gather(1, positions_B1)[:, 0]
        is_padding_BL = torch.arange(self._slots_BL.shape[1], device=positions_B1.device) > positions_B1

        def attend(layer: int, q_BHd: Tensor, k_BKd: Tensor, v_BKd: Tensor) -> Tensor:
            keys_KSd, values_KSd = self._store.keys[layer], self._store.values[layer]
            keys_KSd[:, new_slots_B] = k_BKd.transpose(0, 1)
            values_KSd[:, new_slots_B] = v_BKd.transpose(0, 1)
            mixed_BHd, _ = attend_gathered(q_BHd, keys_KSd, values_KSd, self._slots_BL, is_padding_BL)
            return mixed_BHd.to(q_BHd.dtype)

        return self._step(self._token_ids_B, self._positions_B, attend)


class GraphedSteps:
    """Such steps of any size, each recorded when its size first comes; on a CUDA device only."""

    def __init__(self, step: TokenStep, store: BlockStore) -> None:
        self._step, self._store = step, store
        self._recorded: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, FixedSizeStep, Tensor]] = {}

    def __call__(self, token_ids: Sequence[int], runs: Sequence[Sequence[Run]]) -> Tensor:
        """The logits (B × V) after the next token of each sequence, whose tokens are in `runs`."""
        longest = max(sum(run.end - run.start for run in row_runs) for row_runs in runs)
        size = (_power_of_two(len(token_ids)), max(_FEWEST_SLOTS, _power_of_two(longest)))
        if size not in self._recorded:
            new = FixedSizeStep(self._step, self._store, *size)
            new.set(token_ids, runs)
            self._recorded[size] = _recorded(new)
        graph, step, logits_BV = self._recorded[size]
        step.set(token_ids, runs)
        graph.replay()
        return logits_BV[: len(token_ids)].clone()


def _recorded(step: FixedSizeStep) -> tuple[torch.cuda.CUDAGraph, FixedSizeStep, Tensor]:
    """The step as a graph, and where its logits will be."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # kernels are chosen, and take their memory, outside the graph
        for _ in range(_NUM_WARM_UPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        logits_BV = step()
    return graph, step, logits_BV


def _power_of_two(number: int) -> int:
    """The smallest one that is not less."""
    return 1 << (number - 1).bit_length()
