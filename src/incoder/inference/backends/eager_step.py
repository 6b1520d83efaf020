"""The eager step: the Transformer's computation on the tokens of any sequences, operation by operation.

The tokens of all sequences are concatenated; how they attend is the caller's choice. `Transformer.forward` is
the reference implementation, and tests compare the two. With five million parameters, a step of one token
takes 2.3 ms and the reference 4.2 ms (one thread, float32, 420 tokens of context).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from incoder.inference.backends.attention import StepAttention
from incoder.inference.backends.backend import Chunk, logits_indices, positions_of, to_device, tokens_of
from incoder.inference.backends.layers import Layer, Linear, ModelLayers, Norm
from incoder.inference.cache.kv_cache import KVCache
from incoder.model.gemm import gemm
from incoder.model.gemv import MAX_ROWS, MAX_ROWS_QUANTIZED, Gemv, has_kernels, make_gemv
from incoder.model.transformer import Transformer, gelu_approximation

# Layer index, q_NHd, k_NKd, v_NKd → mixed_NHd. Also writes the new keys and values to the cache.
AttendAt = Callable[[int, Tensor, Tensor, Tensor], Tensor]


def store_column_major(transformer: Transformer) -> None:
    """Store each matrix in the order in which `torch.mm` reads it for one row, one matrix at a time.

    On a CPU in float32 PyTorch's product with a single row then runs at 16 to 21 GB/s on one thread instead
    of 9. With more rows or in bfloat16 it makes no difference. numba's kernels read matrices as they are.
    """
    if transformer.device.type != "cpu" or has_kernels():
        return
    for module in transformer.modules():
        if isinstance(module, nn.Linear | nn.Embedding) and module.weight.dtype == torch.float32:
            column_major = module.weight.detach().t().contiguous().t()
            module.weight = nn.Parameter(column_major, requires_grad=False)


class EagerBackend:
    """Runs every chunk, on every device."""

    def __init__(self, layers: ModelLayers, cache: KVCache) -> None:
        self._step, self._cache, self._device = EagerStep(layers), cache, layers.device

    @staticmethod
    def is_available(_layers: ModelLayers) -> bool:
        return True

    def can_run(self, chunks: Sequence[Chunk]) -> Sequence[int]:
        return range(len(chunks))

    def __call__(self, chunks: Sequence[Chunk]) -> Tensor:
        attend = StepAttention(self._cache, chunks)
        positions: slice | Tensor = slice(chunks[0].start, len(chunks[0].sequence))
        if len(chunks) > 1:
            positions = to_device(positions_of(chunks), self._device)
        token_ids_N = to_device(tokens_of(chunks), self._device)
        return self._step(token_ids_N, positions, attend, logits_indices(chunks, self._device))


class EagerStep:
    """The network on a list of tokens, without a cache of its own."""

    def __init__(self, layers: ModelLayers) -> None:
        self._config = layers.config
        self._embedding = layers.embedding
        self._lm_head = _matrix(layers.lm_head)
        self._final_norm = _norm(layers.final_norm)
        self._layers = [_EagerLayer.of(layer) for layer in layers.layers]
        self._activation = layers.activation
        self._approximate = gelu_approximation(layers.config)
        self._rotation = layers.rotation()
        self._sinusoids = None if self._rotation else layers.position_table.to(layers.dtype)

    def __call__(
        self,
        token_ids_N: Tensor,
        positions: int | slice | Tensor,
        attend: AttendAt,
        logits_indices: int | slice | Tensor = slice(None),
    ) -> Tensor:
        """Return the logits after the tokens at `logits_indices` (num_indices × V)."""
        hidden_ND = self.embed(token_ids_N, positions)
        rotation = None
        if self._rotation is not None:
            cosines, sines = self._rotation
            rotation = cosines[positions].unsqueeze(-2), sines[positions].unsqueeze(-2)
        for index, layer in enumerate(self._layers):
            qkv_NE = layer.qkv(layer.attention_norm(hidden_ND))
            qkv_NHd = qkv_NE.view(len(hidden_ND), -1, self._config.head_dim)
            mixed_NHd = self._attend(index, qkv_NHd, rotation, attend)
            hidden_ND = layer.output.add_to(hidden_ND, mixed_NHd.reshape(len(hidden_ND), -1))
            inner_NI = layer.up(layer.feed_forward_norm(hidden_ND))
            if self._activation == "swiglu":
                gate_NI, up_NI = inner_NI.chunk(2, dim=-1)
                inner_NI = F.silu(gate_NI).mul_(up_NI)
            else:
                inner_NI = F.gelu(inner_NI, approximate=self._approximate)
            hidden_ND = layer.down.add_to(hidden_ND, inner_NI)
        return self.logits(hidden_ND[logits_indices])

    def embed(self, token_ids_N: Tensor, positions: int | slice | Tensor) -> Tensor:
        """Return the input of the first block, [N, D]."""
        hidden_ND: Tensor = self._embedding(token_ids_N)
        if self._sinusoids is None:
            return hidden_ND
        return hidden_ND * math.sqrt(self._config.hidden_size) + self._sinusoids[positions]

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Return the logits (N × V) from the output of the last block."""
        return self._lm_head(self._final_norm(hidden_ND))

    def _attend(
        self, layer: int, qkv_NHd: Tensor, rotation: tuple[Tensor, Tensor] | None, attend: AttendAt
    ) -> Tensor:
        num_heads, num_keys = self._config.num_heads, self._config.num_heads + self._config.num_kv_heads
        qk_NHd = qkv_NHd[:, :num_keys]
        if rotation is not None:
            cosines, sines = rotation
            qk_NHd = torch.addcmul(qk_NHd * cosines, qk_NHd.roll(self._config.head_dim // 2, dims=-1), sines)
        return attend(layer, qk_NHd[:, :num_heads], qk_NHd[:, num_heads:], qkv_NHd[:, num_keys:])


class _Matrix(Protocol):
    """A linear layer, alone or added to the residual stream."""

    def __call__(self, input_BI: Tensor) -> Tensor: ...

    def add_to(self, residual_BO: Tensor, input_BI: Tensor) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class _PyTorchMatrix:
    """Multiplies by `torch.mm`, which takes the weight transposed and adds a bias for free."""

    weight_IO: Tensor
    bias_O: Tensor | None

    def __call__(self, input_BI: Tensor) -> Tensor:
        if self.bias_O is None:
            return torch.mm(input_BI, self.weight_IO)
        return torch.addmm(self.bias_O, input_BI, self.weight_IO)

    def add_to(self, residual_BO: Tensor, input_BI: Tensor) -> Tensor:
        if self.bias_O is not None:
            residual_BO = residual_BO + self.bias_O
        return torch.addmm(residual_BO, input_BI, self.weight_IO)


@dataclass(frozen=True, slots=True)
class _GemvMatrix:
    """Multiplies by numba's GEMV up to `max_rows` rows, by a GEMM above."""

    gemv: Gemv
    max_rows: int
    gemm: Callable[[Tensor], Tensor]

    def __call__(self, input_BI: Tensor) -> Tensor:
        return self.gemm(input_BI) if len(input_BI) > self.max_rows else self.gemv(input_BI)

    def add_to(self, residual_BO: Tensor, input_BI: Tensor) -> Tensor:
        return self(input_BI).add_(residual_BO)


@dataclass(frozen=True, slots=True)
class _ModuleMatrix:
    """Multiplies as the module itself does."""

    module: Callable[[Tensor], Tensor]

    def __call__(self, input_BI: Tensor) -> Tensor:
        return self.module(input_BI)

    def add_to(self, residual_BO: Tensor, input_BI: Tensor) -> Tensor:
        return residual_BO + self.module(input_BI)


def _matrix(linear: Linear) -> _Matrix:
    """Return the fastest way to multiply by this layer's weight on its device."""
    gemv = make_gemv(linear.weight_OI, linear.scale, linear.bias_O)
    if linear.is_quantized:
        return _GemvMatrix(gemv, MAX_ROWS_QUANTIZED, linear.module) if gemv else _ModuleMatrix(linear.module)
    if gemv is None:
        return _PyTorchMatrix(linear.weight_OI.t(), linear.bias_O)
    return _GemvMatrix(gemv, MAX_ROWS, lambda input_BI: gemm(input_BI, linear.weight_OI, linear.bias_O))


@dataclass(frozen=True, slots=True)
class _EagerLayer:
    attention_norm: Callable[[Tensor], Tensor]
    qkv: _Matrix
    output: _Matrix
    feed_forward_norm: Callable[[Tensor], Tensor]
    up: _Matrix
    down: _Matrix

    @classmethod
    def of(cls, layer: Layer) -> "_EagerLayer":
        return cls(
            attention_norm=_norm(layer.attention_norm),
            qkv=_matrix(layer.qkv),
            output=_matrix(layer.output),
            feed_forward_norm=_norm(layer.feed_forward_norm),
            up=_matrix(layer.up),
            down=_matrix(layer.down),
        )


def _norm(norm: Norm) -> Callable[[Tensor], Tensor]:
    """Return the norm as a plain function: calling a module takes longer than a small norm itself."""
    weight, bias, eps = norm.weight_D, norm.bias_D, norm.eps
    shape = weight.shape
    if bias is not None:
        return lambda hidden: F.layer_norm(hidden, shape, weight, bias, eps)
    return lambda hidden: F.rms_norm(hidden, shape, weight, eps)
