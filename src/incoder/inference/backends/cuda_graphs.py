"""Steps with few tokens per sequence as CUDA graphs: captured once per size, then replayed.

Launching the many short kernels of such a step one by one takes longer than running them. A graph launches
all of them at once, but its tensors keep their addresses and sizes. So each token is a row that returns
logits, and the numbers of rows and slots are rounded up to powers of two (step_inputs.py has the padding). A
graph does not share the prefix that several rows have. Knows no blocks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from incoder.inference.backends.attention import attend_gathered
from incoder.inference.backends.backend import Chunk, logits_indices
from incoder.inference.backends.eager_step import EagerStep
from incoder.inference.backends.layers import ModelLayers
from incoder.inference.backends.step_inputs import StepInputs
from incoder.inference.cache.kv_cache import KVCache

_NUM_WARM_UPS = 2  # runs before the capture: they choose kernels and allocate their memory
_MIN_SLOTS = 256  # of the smallest graph: fewer slots are no faster, and each size needs a graph of its own
# Of chunks of several tokens, each token is a row that reads the whole context again. With more of such rows
# than this in a step, the eager step is faster.
_MAX_ROWS_OF_SEVERAL = 16

Step = Callable[[], Tensor]  # computes on its StepInputs: the logits of all rows (num_rows × V)


class Graph(Protocol):
    """A captured step."""

    def replay(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Capture:
    """A graph and the memory that it reads and writes. The step is kept because it owns some of it."""

    graph: Graph
    step: Step
    inputs: StepInputs
    logits_BV: Tensor


class FixedSizeStep:
    """The eager step on the rows of `inputs`; the reference implementation of the Triton step."""

    def __init__(self, step: EagerStep, cache: KVCache, inputs: StepInputs) -> None:
        self._step, self._cache, self._inputs = step, cache, inputs

    def __call__(self) -> Tensor:
        """Write the keys and values of the new tokens to the cache; return the logits (num_rows × V)."""
        slots_BL, positions_B = self._inputs.slots_BL, self._inputs.positions_B.long()
        positions_B1 = positions_B[:, None]
        new_slots_B = slots_BL.gather(1, positions_B1)[:, 0].long()
        is_padding_BL = torch.arange(self._inputs.num_slots, device=positions_B.device) > positions_B1

        def attend(layer: int, q_BHd: Tensor, k_BKd: Tensor, v_BKd: Tensor) -> Tensor:
            keys_KSd, values_KSd = self._cache.keys[layer], self._cache.values[layer]
            keys_KSd[:, new_slots_B] = k_BKd.transpose(0, 1)
            values_KSd[:, new_slots_B] = v_BKd.transpose(0, 1)
            mixed_BHd, _ = attend_gathered(q_BHd, keys_KSd, values_KSd, slots_BL, is_padding_BL)
            return mixed_BHd.to(q_BHd.dtype)

        return self._step(self._inputs.token_ids_B.long(), positions_B, attend)


def capture_graph(step: Step, inputs: StepInputs) -> Capture:
    """Capture a step on a CUDA device."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_NUM_WARM_UPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # The stream is given, because PyTorch's default for captures is on the first device that ever captured.
    # "thread_local": CUDA calls of other threads during the capture are no error.
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        logits_BV = step()
    return Capture(graph, step, inputs, logits_BV)


class GraphPool:
    """The graphs of one kind of step, each captured when its size first occurs.

    `capture` is a parameter so that tests can replay steps without a GPU.
    """

    def __init__(
        self,
        device: torch.device,
        step_for: Callable[[StepInputs], Step],
        capture: Callable[[Step, StepInputs], Capture] = capture_graph,
    ) -> None:
        self._device, self._step_for, self._capture = device, step_for, capture
        self._captures: dict[tuple[int, int], Capture] = {}

    def __len__(self) -> int:
        return len(self._captures)

    def __call__(self, chunks: Sequence[Chunk]) -> Tensor:
        """Return the logits of these chunks (sum of `num_logits` × V)."""
        new_ids = [chunk.token_ids for chunk in chunks]
        extents = [chunk.sequence.extents() for chunk in chunks]
        num_rows = sum(map(len, new_ids))
        longest = max(len(chunk.sequence) for chunk in chunks)
        size = (power_of_two(num_rows), max(_MIN_SLOTS, power_of_two(longest)))
        with torch.cuda.device_of(self._tensor_on_device()):  # type: ignore[no-untyped-call]
            if size not in self._captures:
                inputs = StepInputs(*size, self._device)
                inputs.set(new_ids, extents)
                self._captures[size] = self._capture(self._step_for(inputs), inputs)
            captured = self._captures[size]
            captured.inputs.set(new_ids, extents)
            captured.graph.replay()
            logits_BV = captured.logits_BV[:num_rows].clone()
        return logits_BV[logits_indices(chunks, self._device)]

    def _tensor_on_device(self) -> Tensor:
        return torch.empty(0, device=self._device)


def chunks_for_graph(chunks: Sequence[Chunk]) -> list[int]:
    """Return the indices of the chunks that are worth a graph, in which each token is a row of its own.

    These are all chunks of one token, and chunks of several tokens up to `_MAX_ROWS_OF_SEVERAL` in all.
    """
    indices, num_rows = [], 0
    for index, chunk in enumerate(chunks):
        num_tokens = len(chunk.token_ids)
        if num_tokens == 1:
            indices.append(index)
        elif num_rows + num_tokens <= _MAX_ROWS_OF_SEVERAL:
            indices.append(index)
            num_rows += num_tokens
    return indices


class EagerGraphs:
    """Graphs of the eager step's kernels, on any CUDA device."""

    def __init__(self, layers: ModelLayers, cache: KVCache) -> None:
        step = EagerStep(layers)
        self.graphs = GraphPool(layers.device, lambda inputs: FixedSizeStep(step, cache, inputs))

    @staticmethod
    def is_available(layers: ModelLayers) -> bool:
        return layers.device.type == "cuda"

    def can_run(self, chunks: Sequence[Chunk]) -> Sequence[int]:
        return chunks_for_graph(chunks)

    def __call__(self, chunks: Sequence[Chunk]) -> Tensor:
        return self.graphs(chunks)


def power_of_two(number: int) -> int:
    """Return the smallest power of two that is not less than `number`.

    >>> [power_of_two(number) for number in (1, 2, 3, 64, 65)]
    [1, 2, 4, 64, 128]
    """
    return 1 << (number - 1).bit_length()
