"""One step of generation: the Transformer's computation over any tokens, with nothing around it.

The tokens of all sequences stand in one list; how they attend to what their sequences have read is the
caller's business. `Transformer.forward` is the slow twin; tests hold the two together. With five million
parameters a step of one token takes 2.3 ms where the twin takes 4.2 (one thread, float32, 420 tokens read).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from incoder.model.gemm import gemm
from incoder.model.gemv import MAX_ROWS, MAX_ROWS_QUANTIZED, Gemv, has_kernels, make_gemv
from incoder.model.quantization import QuantizedLinear
from incoder.model.transformer import Transformer, gelu_approximation

# Layer, q_NHd, k_NKd, v_NKd to mixed_NHd. It stores the keys and values of the new tokens, too.
AttendAt = Callable[[int, Tensor, Tensor, Tensor], Tensor]


def lay_out_for_steps(transformer: Transformer) -> None:
    """Turn each matrix in memory, one at a time, so that a step reads it in the order in which it is stored.

    On a CPU in float32 PyTorch's product with a single row then runs at 16 to 21 GB/s on one thread instead
    of 9; with more rows, as in bfloat16, it makes no difference. The kernels read matrices as they are.
    """
    if transformer.device.type != "cpu" or has_kernels():
        return
    for module in transformer.modules():
        if isinstance(module, nn.Linear | nn.Embedding) and module.weight.dtype == torch.float32:
            turned = module.weight.detach().t().contiguous().t()
            module.weight = nn.Parameter(turned, requires_grad=False)


class TokenStep:
    """Reads tokens, each behind what its own sequence has read."""

    def __init__(self, transformer: Transformer) -> None:
        config = transformer.config
        self._config = config
        self._embedding = transformer.embedding
        self._output = _matrix(transformer.lm_head or transformer.embedding)
        self._final_norm = _norm(transformer.final_norm, config.norm_eps)
        self._layers = [_Layer.of(block, config.norm_eps) for block in transformer.blocks]
        table = transformer.position_table.to(transformer.dtype)
        self._approximate = gelu_approximation(config)
        # [P, d]: with the first half of the sines negative, a rotation is two products and a roll.
        self.cosines = self.sines = torch.empty(0, config.head_dim)
        if config.is_rotary:
            cosines, sines = table
            self.cosines = torch.cat((cosines, cosines), dim=-1)
            self.sines = torch.cat((-sines, sines), dim=-1)
        else:
            self._positions = table

    def __call__(
        self,
        token_ids_N: Tensor,
        positions: int | slice | Tensor,
        attend: AttendAt,
        wanted: int | slice | Tensor = slice(None),
    ) -> Tensor:
        """The logits (num_wanted × V) after those of the tokens that are `wanted`."""
        config = self._config
        hidden_ND = self.embedded(token_ids_N, positions)
        rotation = None
        if config.is_rotary:
            rotation = (self.cosines[positions].unsqueeze(-2), self.sines[positions].unsqueeze(-2))
        for index, layer in enumerate(self._layers):
            qkv_NHd = layer.qkv(layer.attention_norm(hidden_ND)).view(len(hidden_ND), -1, config.head_dim)
            mixed_NHd = self._mixed(index, qkv_NHd, rotation, attend)
            hidden_ND = layer.out.added_to(hidden_ND, mixed_NHd.reshape(len(hidden_ND), -1))
            inner_NI = layer.up(layer.feed_forward_norm(hidden_ND))
            if config.shape == "llama":
                gate_NI, up_NI = inner_NI.chunk(2, dim=-1)
                inner_NI = F.silu(gate_NI).mul_(up_NI)
            else:
                inner_NI = F.gelu(inner_NI, approximate=self._approximate)
            hidden_ND = layer.down.added_to(hidden_ND, inner_NI)
        return self.logits(hidden_ND[wanted])

    def embedded(self, token_ids_N: Tensor, positions: int | slice | Tensor) -> Tensor:
        """What the first block reads, [N, D]."""
        hidden_ND: Tensor = self._embedding(token_ids_N)
        if self._config.is_rotary:
            return hidden_ND
        return hidden_ND * math.sqrt(self._config.hidden_size) + self._positions[positions]

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """What the last block leaves to logits (N × V)."""
        return self._output(self._final_norm(hidden_ND))

    def _mixed(
        self, layer: int, qkv_NHd: Tensor, rotation: tuple[Tensor, Tensor] | None, attend: AttendAt
    ) -> Tensor:
        num_heads, num_keys = self._config.num_heads, self._config.num_heads + self._config.num_kv_heads
        qk_NHd = qkv_NHd[:, :num_keys]
        if rotation is not None:
            cosines, sines = rotation
            qk_NHd = torch.addcmul(qk_NHd * cosines, qk_NHd.roll(self._config.head_dim // 2, dims=-1), sines)
        return attend(layer, qk_NHd[:, :num_heads], qk_NHd[:, num_heads:], qkv_NHd[:, num_keys:])


class _Matrix(Protocol):
    """A linear layer, alone or with what its output is added to."""

    def __call__(self, input_BI: Tensor) -> Tensor: ...

    def added_to(self, residual_BO: Tensor, input_BI: Tensor) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class _PyTorchMatrix:
    """By PyTorch's products, turned as `torch.mm` wants it."""

    weight_IO: Tensor
    bias_O: Tensor | None

    def __call__(self, input_BI: Tensor) -> Tensor:
        if self.bias_O is None:
            return torch.mm(input_BI, self.weight_IO)
        return torch.addmm(self.bias_O, input_BI, self.weight_IO)

    def added_to(self, residual_BO: Tensor, input_BI: Tensor) -> Tensor:
        if self.bias_O is not None:
            residual_BO = residual_BO + self.bias_O
        return torch.addmm(residual_BO, input_BI, self.weight_IO)


@dataclass(frozen=True, slots=True)
class _RowProductMatrix:
    """By a product made for few rows, and by another one where there are many."""

    product: Gemv
    max_rows: int
    many_rows: Callable[[Tensor], Tensor]

    def __call__(self, input_BI: Tensor) -> Tensor:
        return self.many_rows(input_BI) if len(input_BI) > self.max_rows else self.product(input_BI)

    def added_to(self, residual_BO: Tensor, input_BI: Tensor) -> Tensor:
        return self(input_BI).add_(residual_BO)


@dataclass(frozen=True, slots=True)
class _ModuleMatrix:
    """As the module itself computes it."""

    module: Callable[[Tensor], Tensor]

    def __call__(self, input_BI: Tensor) -> Tensor:
        return self.module(input_BI)

    def added_to(self, residual_BO: Tensor, input_BI: Tensor) -> Tensor:
        return residual_BO + self.module(input_BI)


def _matrix(module: nn.Module) -> _Matrix:
    """The fastest way to multiply with a layer's weight, an embedding's as the output layer's included."""
    if isinstance(module, QuantizedLinear):
        product = make_gemv(module.weight_OI, module.scale, module.bias_O)
        return _RowProductMatrix(product, MAX_ROWS_QUANTIZED, module) if product else _ModuleMatrix(module)
    assert isinstance(module, nn.Linear | nn.Embedding)
    weight_OI, bias_O = module.weight.detach(), getattr(module, "bias", None)
    bias_O = None if bias_O is None else bias_O.detach()
    if (product := make_gemv(weight_OI, None, bias_O)) is None:
        return _PyTorchMatrix(weight_OI.t(), bias_O)
    return _RowProductMatrix(product, MAX_ROWS, lambda input_BI: gemm(input_BI, weight_OI, bias_O))


@dataclass(frozen=True, slots=True)
class _Layer:
    attention_norm: Callable[[Tensor], Tensor]
    qkv: _Matrix
    out: _Matrix
    feed_forward_norm: Callable[[Tensor], Tensor]
    up: _Matrix  # in the llama shape gate and up, side by side
    down: _Matrix

    @classmethod
    def of(cls, block: nn.Module, eps: float) -> "_Layer":
        weights = dict(block.named_modules())
        feed_forward = "feed_forward."
        up = feed_forward + ("gate_up" if feed_forward + "gate_up" in weights else "up")
        return cls(
            attention_norm=_norm(weights["attention_norm"], eps),
            qkv=_matrix(weights["attention.qkv"]),
            out=_matrix(weights["attention.out"]),
            feed_forward_norm=_norm(weights["feed_forward_norm"], eps),
            up=_matrix(weights[up]),
            down=_matrix(weights[feed_forward + "down"]),
        )


def _norm(module: nn.Module, eps: float) -> Callable[[Tensor], Tensor]:
    """The module's computation, without the module's call."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    weight, shape = weight.detach(), weight.shape
    if isinstance(module, nn.LayerNorm):
        bias = module.bias.detach()
        return lambda hidden: F.layer_norm(hidden, shape, weight, bias, eps)
    return lambda hidden: F.rms_norm(hidden, shape, weight, eps)
