"""One more token in every row: the Transformer's computation with nothing around it.

Most of generation is this. `Transformer.forward` is its slow twin, which can do everything else as well;
tests hold the two together. With `mini`, a step takes 2.3 ms where the twin takes 4.2 (one thread of a busy
machine, float32, 420 tokens in the cache).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from incoder.model.transformer import KVCache, Transformer, gelu_approximation


def lay_out_for_steps(transformer: Transformer) -> None:
    """Turn each matrix in memory, one at a time, so that a step reads it in the order in which it is stored.

    On a CPU in float32 a product with a single row then runs at 16 to 21 GB/s on one thread instead of 9;
    with more rows, as in bfloat16, it makes no difference.
    """
    weight = transformer.output_weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return
    for module in transformer.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            turned = module.weight.detach().t().contiguous().t()
            module.weight = nn.Parameter(turned, requires_grad=False)


class TokenStep:
    """Reads one token in every row, behind what is in the cache."""

    def __init__(self, transformer: Transformer) -> None:
        config = transformer.config
        self._config = config
        self._embedding_VD = transformer.embedding.weight.detach()
        self._output_DV = transformer.output_weight.detach().t()
        self._final_norm = _norm(transformer.final_norm, config.norm_eps)
        self._layers = [_Layer.of(block, config.norm_eps) for block in transformer.blocks]
        table = transformer.position_table.to(self._embedding_VD.dtype)
        self._approximate = gelu_approximation(config)
        if config.is_rotary:
            cosines, sines = table
            self._cosines = torch.cat((cosines, cosines), dim=-1)
            self._sines = torch.cat((-sines, sines), dim=-1)
        else:
            self._positions = table

    def __call__(
        self,
        token_ids_B: Tensor,
        cache: KVCache,
        positions_B: Tensor | None = None,
        attention_mask_BS: Tensor | None = None,
    ) -> Tensor:
        """The logits (B × V) after these tokens, which are put into the cache.

        Positions follow the cache's length, and every slot is attended to, unless given otherwise.
        """
        config = self._config
        position = cache.length if positions_B is None else positions_B
        cache.reserve(cache.length + 1)
        hidden_BD = self._embedding_VD[token_ids_B]
        rotation = None
        if config.is_rotary:
            rotation = (self._cosines[position].unsqueeze(-2), self._sines[position].unsqueeze(-2))
        else:
            hidden_BD = hidden_BD * math.sqrt(config.hidden_size) + self._positions[position]
        mask = None if attention_mask_BS is None else attention_mask_BS[:, None, None]
        for index, layer in enumerate(self._layers):
            attended_BD = self._attend(layer, index, layer.attention_norm(hidden_BD), rotation, mask, cache)
            hidden_BD = layer.out.added_to(hidden_BD, attended_BD)
            inner_BI = layer.up(layer.feed_forward_norm(hidden_BD))
            if config.shape == "llama":
                gate_BI, up_BI = inner_BI.chunk(2, dim=-1)
                inner_BI = F.silu(gate_BI).mul_(up_BI)
            else:
                inner_BI = F.gelu(inner_BI, approximate=self._approximate)
            hidden_BD = layer.down.added_to(hidden_BD, inner_BI)
        cache.length += 1
        return torch.mm(self._final_norm(hidden_BD), self._output_DV)

    def _attend(
        self,
        layer: "_Layer",
        index: int,
        normed_BD: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        cache: KVCache,
    ) -> Tensor:
        num_heads, num_kv_heads = self._config.num_heads, self._config.num_kv_heads
        head_dim = self._config.head_dim
        qkv_BHd = layer.qkv(normed_BD).view(len(normed_BD), -1, head_dim)
        qk_BHd = qkv_BHd[:, : num_heads + num_kv_heads]
        if rotation is not None:
            cosines, sines = rotation
            qk_BHd = torch.addcmul(qk_BHd * cosines, qk_BHd.roll(head_dim // 2, dims=-1), sines)
        keys, values = cache.append(
            index, qk_BHd[:, num_heads:, None], qkv_BHd[:, num_heads + num_kv_heads :, None]
        )
        mixed_BH1d = F.scaled_dot_product_attention(
            qk_BHd[:, :num_heads, None], keys, values, attn_mask=mask, enable_gqa=num_heads != num_kv_heads
        )
        return mixed_BH1d.reshape(len(normed_BD), -1)


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A linear layer, turned as `torch.mm` wants it."""

    weight_IO: Tensor
    bias_O: Tensor | None

    @classmethod
    def of(cls, linear: nn.Module) -> "_Matrix":
        assert isinstance(linear, nn.Linear)
        return cls(linear.weight.detach().t(), None if linear.bias is None else linear.bias.detach())

    def __call__(self, input_BI: Tensor) -> Tensor:
        if self.bias_O is None:
            return torch.mm(input_BI, self.weight_IO)
        return torch.addmm(self.bias_O, input_BI, self.weight_IO)

    def added_to(self, residual_BO: Tensor, input_BI: Tensor) -> Tensor:
        if self.bias_O is not None:
            residual_BO = residual_BO + self.bias_O
        return torch.addmm(residual_BO, input_BI, self.weight_IO)


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
            qkv=_Matrix.of(weights["attention.qkv"]),
            out=_Matrix.of(weights["attention.out"]),
            feed_forward_norm=_norm(weights["feed_forward_norm"], eps),
            up=_Matrix.of(weights[up]),
            down=_Matrix.of(weights[feed_forward + "down"]),
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
