"""The weights of a Transformer as backends use them: the only module that knows a block's submodules by name.

A backend computes a step in its own way, but takes every weight, norm and activation from here, whichever
shape the network has and whether its matrices are quantized. A test checks that no weight of a block is left
out, and that the order in which submodules were registered does not matter.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from incoder.model.quantization import QuantizedEmbedding, QuantizedLinear
from incoder.model.transformer import Shape, Transformer, TransformerConfig

Activation = Literal["swiglu", "gelu", "tanh_gelu"]

_ACTIVATIONS: dict[Shape, Activation] = {"llama": "swiglu", "xglm": "gelu", "starcoder2": "tanh_gelu"}


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer, or an embedding used as the output layer: input @ (weight * scale).T + bias.

    `weight_OI` is in its storage dtype. `scale` has a number for each row [O] (int8) or for each group [O, G]
    (int4), or is None.
    """

    weight_OI: Tensor
    scale: Tensor | None
    bias_O: Tensor | None
    module: Callable[[Tensor], Tensor]  # for a quantized matrix: the product by PyTorch

    @property
    def is_quantized(self) -> bool:
        """Whether PyTorch has to dequantize, or to convert, the weight before it multiplies."""
        return isinstance(self.module, QuantizedLinear)


@dataclass(frozen=True, slots=True)
class Norm:
    """RMSNorm, or LayerNorm, which subtracts the mean and has a bias."""

    weight_D: Tensor
    bias_D: Tensor | None
    eps: float

    @property
    def subtracts_mean(self) -> bool:
        return self.bias_D is not None


@dataclass(frozen=True, slots=True)
class Layer:
    """One block of the network. With SwiGLU, `up` is [2 · I, D]: the rows of gate, then the rows of up."""

    attention_norm: Norm
    qkv: Linear
    output: Linear
    feed_forward_norm: Norm
    up: Linear
    down: Linear


@dataclass(frozen=True, slots=True)
class ModelLayers:
    """All that a backend needs of a Transformer; the tensors are the network's own."""

    config: TransformerConfig
    dtype: torch.dtype  # of the hidden states
    device: torch.device
    embedding: nn.Module
    embedding_weight: Linear
    layers: tuple[Layer, ...]
    activation: Activation
    final_norm: Norm
    lm_head: Linear
    position_table: Tensor  # sinusoids [P, D], or cosines and sines [2, P, d / 2]

    def rotation(self) -> tuple[Tensor, Tensor] | None:
        """Return cosines and sines [P, d] in the network's dtype, or None without rotary positions.

        The first half of the sines is negative: so a rotation is x · cos + roll(x, d / 2) · sin.
        """
        if not self.config.is_rotary:
            return None
        cosines, sines = self.position_table.to(self.dtype)
        return torch.cat((cosines, cosines), dim=-1), torch.cat((-sines, sines), dim=-1)

    def weights(self) -> Iterator[Tensor]:
        """Yield every tensor that a step reads, but for the position table."""
        norms, linears = [self.final_norm], [self.embedding_weight, self.lm_head]
        for layer in self.layers:
            norms += [layer.attention_norm, layer.feed_forward_norm]
            linears += [layer.qkv, layer.output, layer.up, layer.down]
        tensors: list[Tensor | None] = []
        for norm in norms:
            tensors += [norm.weight_D, norm.bias_D]
        for linear in linears:
            tensors += [linear.weight_OI, linear.scale, linear.bias_O]
        return (tensor for tensor in tensors if tensor is not None)


def read_layers(transformer: Transformer) -> ModelLayers:
    """Return the layers of a network, after all changes to its weights (quantization, layout in memory).

    >>> read_layers(model.language_model.transformer).activation
    'swiglu'
    """
    config = transformer.config
    embedding_weight = _linear(transformer.embedding)
    return ModelLayers(
        config=config,
        dtype=transformer.dtype,
        device=transformer.device,
        embedding=transformer.embedding,
        embedding_weight=embedding_weight,
        layers=tuple(_layer(block, config) for block in transformer.blocks),
        activation=_ACTIVATIONS[config.shape],
        final_norm=_norm(transformer.final_norm, config.norm_eps),
        lm_head=embedding_weight if transformer.lm_head is None else _linear(transformer.lm_head),
        position_table=transformer.position_table,
    )


def _layer(block: nn.Module, config: TransformerConfig) -> Layer:
    up = "feed_forward.gate_up" if _ACTIVATIONS[config.shape] == "swiglu" else "feed_forward.up"
    return Layer(
        attention_norm=_norm(block.get_submodule("attention_norm"), config.norm_eps),
        qkv=_linear(block.get_submodule("attention.qkv")),
        output=_linear(block.get_submodule("attention.out")),
        feed_forward_norm=_norm(block.get_submodule("feed_forward_norm"), config.norm_eps),
        up=_linear(block.get_submodule(up)),
        down=_linear(block.get_submodule("feed_forward.down")),
    )


def _linear(module: nn.Module) -> Linear:
    if isinstance(module, QuantizedLinear):
        return Linear(module.weight_OI, module.scale, _detached(module.bias_O), module)
    if isinstance(module, QuantizedEmbedding):
        return Linear(module.weight_VD, module.scale_V, None, module)
    assert isinstance(module, nn.Linear | nn.Embedding)
    return Linear(module.weight.detach(), None, _detached(getattr(module, "bias", None)), module)


def _norm(module: nn.Module, eps: float) -> Norm:
    weight_D = module.weight
    assert isinstance(weight_D, Tensor)
    return Norm(weight_D.detach(), _detached(getattr(module, "bias", None)), eps)


def _detached(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach()
