"""A step of a fixed size on a GPU, as a few Triton kernels for each block of the network (triton_kernels.py).

PyTorch's step has some 25 kernels per block. Most of them take longer to launch than to run, and none reads
weights while another ends. This step has five kernels per block for one row, and seven for several. The eager
step is the reference implementation. Hidden states are kept in float32, the inputs of matrix products in the
model's own dtype.
"""

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from incoder.inference.backends.backend import Chunk
from incoder.inference.backends.cuda_graphs import GraphPool, chunks_for_graph, power_of_two
from incoder.inference.backends.layers import Linear, ModelLayers, Norm
from incoder.inference.backends.step_inputs import StepInputs
from incoder.inference.cache.kv_cache import KVCache
from incoder.model.transformer import TransformerConfig

MAX_ROWS = 64  # one program keeps the sums of all rows in registers
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_NUM_PROGRAMS = 512  # attention is divided among this many: a few for each processor of the GPU
_LONGEST_ROW = 4096  # elements of a weight's row that are read at once
_MIN_SLOTS = 64  # slots that one program of attention reads at least


class Tiling(NamedTuple):
    """The tile of the weight that a program multiplies at once, and its warps (of 32 threads) and stages."""

    block_n: int
    block_k: int
    num_warps: int
    num_stages: int = 1


def tiling(num_rows: int, num_outputs: int, weight: Tensor, dtype: torch.dtype, *, is_gated: bool) -> Tiling:
    """Return a tiling that keeps about 64 KB of weights in flight on each processor and occupies all of them.

    With one input row, short rows of the weight are loaded whole, so that all reads of a program are in
    flight while the previous kernel ends.

    >>> tiling(1, 4096, torch.empty(4096, 1024), torch.float32, is_gated=False).block_k
    1024
    """
    width = power_of_two(weight.shape[1])
    if num_rows == 1:
        block_n = 2 if is_gated else 4
        if width > _LONGEST_ROW:
            return Tiling(block_n, 2048 // weight.itemsize, num_warps=4)
        return Tiling(block_n, width, num_warps=max(4, width // 512))
    block_n = 16 if num_outputs <= 4096 or is_gated else 32
    num_stages = 4
    height = max(16, power_of_two(num_rows)) + (2 * block_n if is_gated else block_n)
    # At most the shared memory of the smallest GPU that is supported. Float32 has no tensor cores and needs
    # registers instead.
    block_k = power_of_two(1 + 65536 // (height * dtype.itemsize * num_stages)) // 2
    block_k = min(block_k, 64 if dtype == torch.float32 else 256, width)
    return Tiling(block_n, max(16, block_k), num_warps=4, num_stages=num_stages)


@cache
def has_triton() -> bool:
    """Whether Triton is installed, as it is with PyTorch for CUDA."""
    try:
        importlib.import_module("incoder.inference.backends.triton_kernels")
    except ImportError:
        return False
    return True


class TritonGraphs:
    """CUDA graphs of the Triton step."""

    def __init__(self, layers: ModelLayers, cache: KVCache) -> None:
        is_overlapped = TritonStep.can_overlap(layers.device)
        self.graphs = GraphPool(
            layers.device, lambda inputs: TritonStep(layers, cache, inputs, is_overlapped=is_overlapped)
        )

    @staticmethod
    def is_available(layers: ModelLayers) -> bool:
        """Whether Triton is installed and the kernels support this GPU and the dtypes of all weights."""
        if layers.device.type != "cuda" or not has_triton():
            return False
        if torch.version.cuda is None or torch.cuda.get_device_capability(layers.device) < (8, 0):
            return False
        return layers.dtype in _DTYPES and all(
            weight.is_contiguous() and weight.dtype in (*_DTYPES, torch.int8) for weight in layers.weights()
        )

    def can_run(self, chunks: Sequence[Chunk]) -> Sequence[int]:
        """Return the chunks that are worth a graph, or none if they have too many rows for the kernels."""
        indices = chunks_for_graph(chunks)
        return indices if sum(len(chunks[index].token_ids) for index in indices) <= MAX_ROWS else ()

    def __call__(self, chunks: Sequence[Chunk]) -> Tensor:
        return self.graphs(chunks)


class TritonStep:
    """The network on the rows of `inputs`."""

    def __init__(
        self, layers: ModelLayers, cache: KVCache, inputs: StepInputs, *, is_overlapped: bool = False
    ) -> None:
        assert inputs.num_rows <= MAX_ROWS
        from incoder.inference.backends import triton_kernels

        self._kernels = triton_kernels
        self._layers, self._config, self._cache, self._inputs = layers, layers.config, cache, inputs
        self._launch_options = {"launch_pdl": True} if is_overlapped else {}
        self._is_overlapped = is_overlapped
        self._buffers = _Buffers.of(layers, inputs)

    @staticmethod
    def can_overlap(device: torch.device) -> bool:
        """Whether a kernel may start while the one before it ends (programmatic dependent launch)."""
        return torch.cuda.get_device_capability(device) >= (9, 0)

    def __call__(self) -> Tensor:
        """Write the new tokens' keys and values to the cache; return the logits (num_rows × V, float32)."""
        buffers, activation = self._buffers, self._layers.activation
        self._embed()
        for index, layer in enumerate(self._layers.layers):
            self._multiply(layer.qkv, buffers.hidden_BD, buffers.qkv_BE, layer.attention_norm)
            self._attend(index)
            self._multiply(layer.output, buffers.mixed_BE, buffers.hidden_BD, is_added=True)
            self._multiply(layer.up, buffers.hidden_BD, buffers.inner_BI, layer.feed_forward_norm, activation)
            self._multiply(layer.down, buffers.inner_BI, buffers.hidden_BD, is_added=True)
        self._multiply(self._layers.lm_head, buffers.hidden_BD, buffers.logits_BV, self._layers.final_norm)
        return buffers.logits_BV

    def _embed(self) -> None:
        size = self._config.hidden_size
        is_rotary = self._config.is_rotary
        self._kernels.embed[(self._inputs.num_rows,)](
            self._inputs.token_ids_B,
            self._inputs.positions_B,
            self._layers.embedding_weight.weight_OI,
            self._layers.embedding_weight.scale,
            None if is_rotary else self._layers.position_table,
            self._buffers.hidden_BD,
            1.0 if is_rotary else math.sqrt(size),
            D=size,
            PADDED_D=power_of_two(size),
            OVERLAPPED=self._is_overlapped,
        )

    def _multiply(
        self,
        linear: Linear,
        input_BK: Tensor,
        output_BN: Tensor,
        norm: Norm | None = None,
        activation: str = "none",
        *,
        is_added: bool = False,
    ) -> None:
        num_rows, num_outputs = output_BN.shape
        width = input_BK.shape[1]
        tiles = tiling(
            num_rows, num_outputs, linear.weight_OI, self._layers.dtype, is_gated=activation == "swiglu"
        )
        num_programs = -(-num_outputs // tiles.block_n)
        options: dict[str, Any] = {
            "N": num_outputs,
            "K": width,
            "ACTIVATION": activation,
            "ADDED": is_added,
            "BLOCK_N": tiles.block_n,
            "BLOCK_K": tiles.block_k,
            "OVERLAPPED": self._is_overlapped,
            "num_warps": tiles.num_warps,
            "num_stages": tiles.num_stages,
            **self._launch_options,
        }
        if num_rows == 1:
            self._kernels.multiply_row[(num_programs,)](
                input_BK,
                None if norm is None else norm.weight_D,
                None if norm is None else norm.bias_D,
                linear.weight_OI,
                linear.scale,
                linear.bias_O,
                output_BN,
                self._config.norm_eps,
                PADDED_K=power_of_two(width),
                CENTERED=norm is not None and norm.subtracts_mean,
                **options,
            )
            return
        if norm is not None:
            input_BK = self._normalized(input_BK, norm)
        self._kernels.multiply_rows[(num_programs,)](
            input_BK,
            linear.weight_OI,
            linear.scale,
            linear.bias_O,
            output_BN,
            B=num_rows,
            PADDED_B=max(16, power_of_two(num_rows)),
            **options,
        )

    def _normalized(self, hidden_BD: Tensor, norm: Norm) -> Tensor:
        num_rows, size = hidden_BD.shape
        self._kernels.normalize[(num_rows,)](
            hidden_BD,
            norm.weight_D,
            norm.bias_D,
            self._buffers.normalized_BD,
            self._config.norm_eps,
            D=size,
            PADDED_D=power_of_two(size),
            CENTERED=norm.subtracts_mean,
            OVERLAPPED=self._is_overlapped,
            **self._launch_options,
        )
        return self._buffers.normalized_BD

    def _attend(self, layer: int) -> None:
        config, buffers, inputs = self._config, self._buffers, self._inputs
        keys_KSd, values_KSd = self._cache.keys[layer], self._cache.values[layer]
        num_parts = buffers.tops_BHP.shape[2]
        padded_size = power_of_two(config.head_dim)
        self._kernels.attend[(inputs.num_rows, config.num_heads, num_parts)](
            buffers.qkv_BE,
            inputs.positions_B,
            inputs.num_before_B,
            inputs.slots_BL,
            self._layers.position_table if config.is_rotary else None,
            keys_KSd,
            values_KSd,
            buffers.parts_BHPd,
            buffers.tops_BHP,
            buffers.sums_BHP,
            buffers.num_done_BH,
            buffers.mixed_BE,
            keys_KSd.stride(0),
            self._layers.position_table.stride(0),
            1 / math.sqrt(config.head_dim),
            H=config.num_heads,
            KV=config.num_kv_heads,
            D=config.head_dim,
            PADDED_D=padded_size,
            L=inputs.num_slots,
            PART=-(-inputs.num_slots // num_parts),
            NUM_PARTS=num_parts,
            BLOCK_L=min(_MIN_SLOTS, max(16, 4096 // padded_size)),
            OVERLAPPED=self._is_overlapped,
            num_stages=1,
            **self._launch_options,
        )


@dataclass(frozen=True, slots=True)
class _Buffers:
    """The outputs of kernels that later kernels read."""

    hidden_BD: Tensor
    normalized_BD: Tensor
    qkv_BE: Tensor  # E: all heads, concatenated
    mixed_BE: Tensor
    inner_BI: Tensor
    logits_BV: Tensor
    # Partial attention states, each over some of the slots:
    parts_BHPd: Tensor  # the weighted values, not yet divided by the sum of weights
    tops_BHP: Tensor  # the greatest score
    sums_BHP: Tensor  # the sum of weights exp(score - top)
    num_done_BH: Tensor  # how many parts are finished; zero between the steps

    @classmethod
    def of(cls, layers: ModelLayers, inputs: StepInputs) -> "_Buffers":
        config, num_rows = layers.config, inputs.num_rows
        num_heads, head_dim = config.num_heads, config.head_dim
        num_parts = _num_parts(config, inputs)

        def floats(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(num_rows, *shape, dtype=dtype, device=layers.device)

        return cls(
            hidden_BD=floats(config.hidden_size),
            normalized_BD=floats(config.hidden_size, dtype=layers.dtype),
            qkv_BE=floats((num_heads + 2 * config.num_kv_heads) * head_dim, dtype=layers.dtype),
            mixed_BE=floats(num_heads * head_dim, dtype=layers.dtype),
            inner_BI=floats(config.inner_size, dtype=layers.dtype),
            logits_BV=floats(config.vocab_size),
            parts_BHPd=floats(num_heads, num_parts, head_dim),
            tops_BHP=floats(num_heads, num_parts),
            sums_BHP=floats(num_heads, num_parts),
            num_done_BH=floats(num_heads, dtype=torch.int32),
        )


def _num_parts(config: TransformerConfig, inputs: StepInputs) -> int:
    """Return the number of parts that the slots of a row are divided into, a power of two."""
    most = min(
        max(1, _NUM_PROGRAMS // (inputs.num_rows * config.num_heads)),
        max(1, inputs.num_slots // _MIN_SLOTS),
    )
    return 1 << (most.bit_length() - 1)
