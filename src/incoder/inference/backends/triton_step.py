"""A step of a fixed size on a GPU, as a few kernels for each block of the network (gpu_kernels.py).

PyTorch's step has some 25 kernels for a block; most of them take longer to start than to run, and none reads
weights while another ends. Here a block is five for one row, seven for several. How the network computes is
TokenStep's business, which is the slow twin; here is only which kernel reads which numbers. What flows along
the network is kept in float32, what the matrices read in the model's own dtype.
"""

import importlib
import math
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from incoder.inference.backends.step_inputs import StepInputs
from incoder.inference.cache.kv_cache import KVCache
from incoder.model.quantization import QuantizedEmbedding, QuantizedLinear
from incoder.model.transformer import Transformer, TransformerConfig

MAX_ROWS = 64  # a program holds them all
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_NUM_PROGRAMS = 512  # that attention is divided among: some for each processor of the GPU
_LONGEST_ROW = 4096  # of a weight that is read at once
_FEWEST_SLOTS = 64  # that one of them reads
_ACTIVATIONS = {"llama": "swiglu", "xglm": "gelu", "starcoder2": "tanh_gelu"}


class Tiling(NamedTuple):
    """What a program multiplies at once, and in how many threads (warps of 32)."""

    block_n: int
    block_k: int
    num_warps: int
    num_stages: int = 1


def tiling(num_rows: int, num_outputs: int, weight: Tensor, dtype: torch.dtype, *, is_gated: bool) -> Tiling:
    """So that a processor of the GPU has some 64 KB of weights under way, and all have programs to run.

    With one row whole rows of the weight are read at once where they are short: so all that a program reads
    is under way while the kernel before it ends.
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
    # No more shared memory than every GPU has on which this runs; and float32, for which there are no tensor
    # cores, needs registers instead.
    block_k = power_of_two(1 + 65536 // (height * dtype.itemsize * num_stages)) // 2
    block_k = min(block_k, 64 if dtype == torch.float32 else 256, width)
    return Tiling(block_n, max(16, block_k), num_warps=4, num_stages=num_stages)


@cache
def has_triton() -> bool:
    """Whether Triton is there, as it is with PyTorch for CUDA."""
    try:
        importlib.import_module("incoder.inference.backends.triton_kernels")
    except ImportError:
        return False
    return True


class FusedStep:
    """The tokens in the rows of `inputs`."""

    def __init__(
        self, transformer: Transformer, store: KVCache, inputs: StepInputs, *, is_overlapped: bool = False
    ) -> None:
        assert inputs.num_rows <= MAX_ROWS
        from incoder.inference.backends import triton_kernels as gpu_kernels

        self._kernels = gpu_kernels
        self._config, self._store, self._inputs = transformer.config, store, inputs
        self._dtype = transformer.dtype
        self._launch_options = {"launch_pdl": True} if is_overlapped else {}
        self._is_overlapped = is_overlapped
        self._embedding = _Matrix.of(transformer.embedding)
        self._output = _Matrix.of(transformer.lm_head or transformer.embedding)
        self._position_table = transformer.position_table
        self._final_norm = _Norm.of(transformer.final_norm)
        self._layers = [_Layer.of(block) for block in transformer.blocks]
        self._buffers = _Buffers.of(transformer, inputs)

    @staticmethod
    def can_run(transformer: Transformer) -> bool:
        """Whether there are kernels, and for this device and what the matrices are kept in."""
        if transformer.device.type != "cuda" or not has_triton():
            return False
        if torch.version.cuda is None or torch.cuda.get_device_capability(transformer.device) < (8, 0):
            return False
        return transformer.dtype in _DTYPES and all(
            weight.is_contiguous() and weight.dtype in (*_DTYPES, torch.int8)
            for weight in transformer.state_dict().values()
        )

    @staticmethod
    def can_overlap(device: torch.device) -> bool:
        """Whether a kernel may start while the one before it ends."""
        return torch.cuda.get_device_capability(device) >= (9, 0)

    def __call__(self) -> Tensor:
        """The logits (num_rows × V, float32); the keys and values of the new tokens are stored."""
        buffers, activation = self._buffers, _ACTIVATIONS[self._config.shape]
        self._embed()
        for index, layer in enumerate(self._layers):
            self._multiply(layer.qkv, buffers.hidden_BD, buffers.qkv_BE, layer.attention_norm)
            self._attend(index)
            self._multiply(layer.out, buffers.mixed_BE, buffers.hidden_BD, is_added=True)
            self._multiply(layer.up, buffers.hidden_BD, buffers.inner_BI, layer.feed_forward_norm, activation)
            self._multiply(layer.down, buffers.inner_BI, buffers.hidden_BD, is_added=True)
        self._multiply(self._output, buffers.hidden_BD, buffers.logits_BV, self._final_norm)
        return buffers.logits_BV

    def _embed(self) -> None:
        size = self._config.hidden_size
        is_rotary = self._config.is_rotary
        self._kernels.embed[(self._inputs.num_rows,)](
            self._inputs.token_ids_B,
            self._inputs.positions_B,
            self._embedding.weight_NK,
            self._embedding.scale_N,
            None if is_rotary else self._position_table,
            self._buffers.hidden_BD,
            1.0 if is_rotary else math.sqrt(size),
            D=size,
            PADDED_D=power_of_two(size),
            OVERLAPPED=self._is_overlapped,
        )

    def _multiply(
        self,
        matrix: "_Matrix",
        input_BK: Tensor,
        output_BN: Tensor,
        norm: "_Norm | None" = None,
        activation: str = "none",
        *,
        is_added: bool = False,
    ) -> None:
        num_rows, num_outputs = output_BN.shape
        width = input_BK.shape[1]
        tiles = tiling(num_rows, num_outputs, matrix.weight_NK, self._dtype, is_gated=activation == "swiglu")
        num_programs = -(-num_outputs // tiles.block_n)
        what: dict[str, Any] = {
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
                matrix.weight_NK,
                matrix.scale_N,
                matrix.bias_N,
                output_BN,
                self._config.norm_eps,
                PADDED_K=power_of_two(width),
                CENTERED=norm is not None and norm.is_centered,
                **what,
            )
            return
        if norm is not None:
            input_BK = self._normalized(input_BK, norm)
        self._kernels.multiply_rows[(num_programs,)](
            input_BK,
            matrix.weight_NK,
            matrix.scale_N,
            matrix.bias_N,
            output_BN,
            B=num_rows,
            PADDED_B=max(16, power_of_two(num_rows)),
            **what,
        )

    def _normalized(self, hidden_BD: Tensor, norm: "_Norm") -> Tensor:
        num_rows, size = hidden_BD.shape
        self._kernels.normalize[(num_rows,)](
            hidden_BD,
            norm.weight_D,
            norm.bias_D,
            self._buffers.normalized_BD,
            self._config.norm_eps,
            D=size,
            PADDED_D=power_of_two(size),
            CENTERED=norm.is_centered,
            OVERLAPPED=self._is_overlapped,
            **self._launch_options,
        )
        return self._buffers.normalized_BD

    def _attend(self, layer: int) -> None:
        config, buffers, inputs = self._config, self._buffers, self._inputs
        keys_KSd, values_KSd = self._store.keys[layer], self._store.values[layer]
        num_parts = buffers.tops_BHP.shape[2]
        padded_size = power_of_two(config.head_dim)
        self._kernels.attend[(inputs.num_rows, config.num_heads, num_parts)](
            buffers.qkv_BE,
            inputs.positions_B,
            inputs.num_before_B,
            inputs.slots_BL,
            self._position_table if config.is_rotary else None,
            keys_KSd,
            values_KSd,
            buffers.parts_BHPd,
            buffers.tops_BHP,
            buffers.sums_BHP,
            buffers.num_done_BH,
            buffers.mixed_BE,
            keys_KSd.stride(0),
            self._position_table.stride(0),
            1 / math.sqrt(config.head_dim),
            H=config.num_heads,
            KV=config.num_kv_heads,
            D=config.head_dim,
            PADDED_D=padded_size,
            L=inputs.num_slots,
            PART=-(-inputs.num_slots // num_parts),
            NUM_PARTS=num_parts,
            BLOCK_L=min(_FEWEST_SLOTS, max(16, 4096 // padded_size)),
            OVERLAPPED=self._is_overlapped,
            num_stages=1,
            **self._launch_options,
        )


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A linear layer, or an embedding, which is one without a bias."""

    weight_NK: Tensor
    scale_N: Tensor | None
    bias_N: Tensor | None

    @classmethod
    def of(cls, module: nn.Module) -> "_Matrix":
        if isinstance(module, QuantizedLinear):
            return cls(module.weight_OI, module.scale, _detached(module.bias_O))
        if isinstance(module, QuantizedEmbedding):
            return cls(module.weight_VD, module.scale_V, None)
        assert isinstance(module, nn.Linear | nn.Embedding)
        return cls(module.weight.detach(), None, _detached(getattr(module, "bias", None)))


@dataclass(frozen=True, slots=True)
class _Norm:
    weight_D: Tensor
    bias_D: Tensor | None
    is_centered: bool

    @classmethod
    def of(cls, module: nn.Module) -> "_Norm":
        weight_D, bias_D = module.weight, getattr(module, "bias", None)
        assert isinstance(weight_D, Tensor)
        return cls(weight_D.detach(), _detached(bias_D), isinstance(module, nn.LayerNorm))


@dataclass(frozen=True, slots=True)
class _Layer:
    attention_norm: _Norm
    qkv: _Matrix
    out: _Matrix
    feed_forward_norm: _Norm
    up: _Matrix  # in the llama shape gate and up, one above the other
    down: _Matrix

    @classmethod
    def of(cls, block: nn.Module) -> "_Layer":
        modules = dict(block.named_modules())
        up = modules.get("feed_forward.gate_up") or modules["feed_forward.up"]
        return cls(
            attention_norm=_Norm.of(modules["attention_norm"]),
            qkv=_Matrix.of(modules["attention.qkv"]),
            out=_Matrix.of(modules["attention.out"]),
            feed_forward_norm=_Norm.of(modules["feed_forward_norm"]),
            up=_Matrix.of(up),
            down=_Matrix.of(modules["feed_forward.down"]),
        )


@dataclass(frozen=True, slots=True)
class _Buffers:
    """What one kernel leaves for the next."""

    hidden_BD: Tensor
    normalized_BD: Tensor
    qkv_BE: Tensor  # E: the heads side by side
    mixed_BE: Tensor
    inner_BI: Tensor
    logits_BV: Tensor
    parts_BHPd: Tensor  # attention to some of the slots each, not yet divided by the sum
    tops_BHP: Tensor  # the greatest score of each part
    sums_BHP: Tensor  # of the exponentials of the others beside that
    num_done_BH: Tensor  # parts so far; zero between the steps

    @classmethod
    def of(cls, transformer: Transformer, inputs: StepInputs) -> "_Buffers":
        config, num_rows = transformer.config, inputs.num_rows
        num_heads, head_dim = config.num_heads, config.head_dim
        num_parts = _num_parts(config, inputs)

        def floats(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(num_rows, *shape, dtype=dtype, device=transformer.device)

        return cls(
            hidden_BD=floats(config.hidden_size),
            normalized_BD=floats(config.hidden_size, dtype=transformer.dtype),
            qkv_BE=floats((num_heads + 2 * config.num_kv_heads) * head_dim, dtype=transformer.dtype),
            mixed_BE=floats(num_heads * head_dim, dtype=transformer.dtype),
            inner_BI=floats(config.inner_size, dtype=transformer.dtype),
            logits_BV=floats(config.vocab_size),
            parts_BHPd=floats(num_heads, num_parts, head_dim),
            tops_BHP=floats(num_heads, num_parts),
            sums_BHP=floats(num_heads, num_parts),
            num_done_BH=floats(num_heads, dtype=torch.int32),
        )


def _num_parts(config: TransformerConfig, inputs: StepInputs) -> int:
    """Into how many parts the slots of a row are divided: a power of two."""
    most = min(
        max(1, _NUM_PROGRAMS // (inputs.num_rows * config.num_heads)),
        max(1, inputs.num_slots // _FEWEST_SLOTS),
    )
    return 1 << (most.bit_length() - 1)


def _detached(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach()


def power_of_two(number: int) -> int:
    """The smallest one that is not less."""
    return 1 << (number - 1).bit_length()
