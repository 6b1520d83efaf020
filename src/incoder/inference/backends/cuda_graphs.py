"""Steps in which sequences read a token or a few each, as CUDA graphs: recorded once a size, then replayed.

Launching the many short kernels of such a step one by one takes longer than they run. A graph launches them
all at once, but its tensors stay where they are and as large as they were. Each token is a row, and each row
gives logits. The numbers of rows and slots are rounded up: missing rows repeat the first, and write what it
writes to where it does; missing slots are masked. The graph knows nothing of prefixes that rows share. It
holds the kernels of gpu_step.py where they can run, else PyTorch's. Knows no blocks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from incoder.inference.backends.attention import attend_gathered
from incoder.inference.backends.eager_step import TokenStep
from incoder.inference.backends.step_inputs import StepInputs
from incoder.inference.backends.triton_step import MAX_ROWS, FusedStep, power_of_two
from incoder.inference.cache.kv_cache import KVCache
from incoder.inference.cache.sequence import Run
from incoder.model.transformer import Transformer

_NUM_WARM_UPS = 2
_FEWEST_SLOTS = 256


class FixedSizeStep:
    """The tokens in the rows of `inputs`, by PyTorch: the slow twin of the fused step."""

    def __init__(self, step: TokenStep, store: KVCache, inputs: StepInputs) -> None:
        self._step, self._store, self._inputs = step, store, inputs

    def __call__(self) -> Tensor:
        """The logits (num_rows × V); the keys and values of the new tokens are stored."""
        slots_BL, positions_B = self._inputs.slots_BL, self._inputs.positions_B.long()
        positions_B1 = positions_B[:, None]
        new_slots_B = slots_BL.gather(1, positions_B1)[:, 0].long()
        is_padding_BL = torch.arange(self._inputs.num_slots, device=positions_B.device) > positions_B1

        def attend(layer: int, q_BHd: Tensor, k_BKd: Tensor, v_BKd: Tensor) -> Tensor:
            keys_KSd, values_KSd = self._store.keys[layer], self._store.values[layer]
            keys_KSd[:, new_slots_B] = k_BKd.transpose(0, 1)
            values_KSd[:, new_slots_B] = v_BKd.transpose(0, 1)
            mixed_BHd, _ = attend_gathered(q_BHd, keys_KSd, values_KSd, slots_BL, is_padding_BL)
            return mixed_BHd.to(q_BHd.dtype)

        return self._step(self._inputs.token_ids_B.long(), positions_B, attend)


class GraphedSteps:
    """Such steps of any size, each recorded when its size first comes; on a CUDA device only."""

    def __init__(self, transformer: Transformer, step: TokenStep, store: KVCache) -> None:
        self._transformer, self._step, self._store = transformer, step, store
        self._can_fuse = FusedStep.can_run(transformer)
        self._recorded: dict[tuple[int, int], _Recording] = {}

    def __call__(self, new_ids: Sequence[Sequence[int]], runs: Sequence[Sequence[Run]]) -> Tensor:
        """The logits (B × V) after each token that the sequences read; all their tokens are in `runs`."""
        num_rows = sum(map(len, new_ids))
        longest = max(sum(run.end - run.start for run in row_runs) for row_runs in runs)
        size = (power_of_two(num_rows), max(_FEWEST_SLOTS, power_of_two(longest)))
        with torch.cuda.device(self._transformer.device):  # streams, events and kernels are the current one's
            if size not in self._recorded:
                inputs = StepInputs(*size, self._transformer.device)
                inputs.set(new_ids, runs)
                self._recorded[size] = _recorded(self._step_of(inputs), inputs)
            recording = self._recorded[size]
            recording.inputs.set(new_ids, runs)
            recording.graph.replay()
            return recording.logits_BV[:num_rows].clone()

    def _step_of(self, inputs: StepInputs) -> FusedStep | FixedSizeStep:
        if not self._can_fuse or inputs.num_rows > MAX_ROWS:
            return FixedSizeStep(self._step, self._store, inputs)
        is_overlapped = FusedStep.can_overlap(self._transformer.device)
        return FusedStep(self._transformer, self._store, inputs, is_overlapped=is_overlapped)


@dataclass(frozen=True, slots=True)
class _Recording:
    """A graph, and whose memory it reads and writes."""

    graph: torch.cuda.CUDAGraph
    step: Callable[[], Tensor]
    inputs: StepInputs
    logits_BV: Tensor


def _recorded(step: Callable[[], Tensor], inputs: StepInputs) -> _Recording:
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # kernels are chosen, and take their memory, outside the graph
        for _ in range(_NUM_WARM_UPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # The stream is given, as PyTorch's own for this is that of the first device that ever recorded. And what
    # other threads do meanwhile is no error.
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        logits_BV = step()
    return _Recording(graph, step, inputs, logits_BV)
