"""Weights in eight bits, one scale for each output row; activations stay as they are.

Generating reads all weights for every token, so a quarter of float32's bytes is up to four times the speed,
where the product itself keeps up (row_products.py). Round to nearest, symmetric, no calibration data.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from incoder.model.mapped_memory import MappedMemory
from incoder.model.transformer import Transformer

_LARGEST = 127
_CHUNK = 4_000_000  # numbers that are turned back into floating point at once


class Int8Linear(nn.Module):
    """A linear layer whose weight is int8: input @ (weight * scale).T + bias."""

    def __init__(self, weight_OI: Tensor, scale_O: Tensor, bias_O: Tensor | None = None) -> None:
        super().__init__()
        self.weight_OI: Tensor
        self.scale_O: Tensor
        self.register_buffer("weight_OI", weight_OI)
        self.register_buffer("scale_O", scale_O)
        self.bias_O = None if bias_O is None else nn.Parameter(bias_O, requires_grad=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states […, I] to […, O]; a part of the weight at a time is turned back."""
        num_rows = max(1, _CHUNK // self.weight_OI.shape[1])
        outputs = [
            F.linear(hidden, weight.to(hidden.dtype)) * scale.to(hidden.dtype)
            for weight, scale in _in_parts(num_rows, self.weight_OI, self.scale_O)
        ]
        output = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
        return output if self.bias_O is None else output + self.bias_O


class Int8Embedding(nn.Module):
    """An embedding whose weight is int8; its rows come out in `dtype`."""

    def __init__(self, weight_VD: Tensor, scale_V: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight_VD: Tensor
        self.scale_V: Tensor
        self.register_buffer("weight_VD", weight_VD)
        self.register_buffer("scale_V", scale_V)
        self._dtype = dtype

    def forward(self, token_ids: Tensor) -> Tensor:
        return self.weight_VD[token_ids].to(self._dtype) * self.scale_V[token_ids, None].to(self._dtype)


def quantize(transformer: Transformer, dtype: torch.dtype = torch.float32) -> None:
    """Turn all matrices into int8, one at a time, and the rest into `dtype`. Training ends here."""
    mapped = MappedMemory()
    embedding, lm_head = transformer.embedding, transformer.lm_head
    assert isinstance(embedding, nn.Embedding)
    weight_VD, scale_V = quantized_rows(embedding.weight)
    mapped.give_back(embedding.weight)
    transformer.embedding = Int8Embedding(weight_VD, scale_V, dtype)
    transformer.lm_head = Int8Linear(weight_VD, scale_V) if lm_head is None else _quantized(lm_head, mapped)
    for block in transformer.blocks:
        for parent in block.modules():
            for name, child in parent.named_children():
                if isinstance(child, nn.Linear):
                    setattr(parent, name, _quantized(child, mapped))
    for parameter in transformer.parameters():  # norms and biases; the scales stay in float32
        parameter.data = parameter.detach().to(dtype)


def quantized_rows(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix as int8 and the scale (float32) of each row; a row of zeros gets the scale 1."""
    weight_OI = weight_OI.detach()
    scale_O = weight_OI.abs().amax(dim=1).float() / _LARGEST
    scale_O = torch.where(scale_O > 0, scale_O, 1.0)
    # In parts: as a whole, a matrix in float32 would be held beside the one that comes in.
    num_rows = max(1, _CHUNK // weight_OI.shape[1])
    int8_OI = torch.empty_like(weight_OI, dtype=torch.int8, memory_format=torch.contiguous_format)
    for part, weight, scale in _in_parts(num_rows, int8_OI, weight_OI, scale_O):
        part.copy_((weight.float() / scale[:, None]).round())
    return int8_OI, scale_O


def _quantized(linear: nn.Module, mapped: MappedMemory) -> Int8Linear:
    assert isinstance(linear, nn.Linear)
    weight_OI, scale_O = quantized_rows(linear.weight)
    mapped.give_back(linear.weight)
    return Int8Linear(weight_OI, scale_O, None if linear.bias is None else linear.bias.detach())


def _in_parts(num_rows: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The tensors side by side, `num_rows` rows at a time."""
    for start in range(0, len(tensors[0]), num_rows):
        yield tuple(tensor[start : start + num_rows] for tensor in tensors)
