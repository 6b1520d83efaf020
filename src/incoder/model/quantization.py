"""Matrices kept in fewer bits than the network computes in: int8 with scales, or half precision.

Generating reads all weights for every token, so a quarter of float32's bytes is up to four times the speed,
where the product itself keeps up (row_products.py). Int8 is rounded to nearest, symmetric, one scale for each
output row, without calibration data. Half precision is kept apart from what is computed where a processor
cannot multiply in it.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from incoder.model.many_rows import many_rows_product
from incoder.model.mapped_memory import MappedMemory
from incoder.model.transformer import Transformer

_LARGEST = 127
_CHUNK = 1_000_000  # numbers that are widened at once

Stored = tuple[Tensor, Tensor | None]  # a matrix [O, I] in few bits, and the scale of each row if it has any


class StoredLinear(nn.Module):
    """A linear layer in its input's dtype, the weight kept in another: input @ (weight * scale).T + bias."""

    def __init__(self, weight_OI: Tensor, scale_O: Tensor | None, bias_O: Tensor | None = None) -> None:
        super().__init__()
        self.weight_OI: Tensor
        self.scale_O: Tensor | None
        self.register_buffer("weight_OI", weight_OI)
        self.register_buffer("scale_O", scale_O)
        self.bias_O = None if bias_O is None else nn.Parameter(bias_O, requires_grad=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states […, I] to […, O]; a part of the weight at a time is widened."""
        output = hidden.new_empty(*hidden.shape[:-1], len(self.weight_OI))
        num_rows = max(1, _CHUNK // self.weight_OI.shape[1])
        for part, weight in _in_parts(num_rows, output.movedim(-1, 0), self.weight_OI):
            part.copy_(many_rows_product(hidden, weight.to(hidden.dtype)).movedim(-1, 0))
        if self.scale_O is not None:
            output *= self.scale_O.to(output.dtype)
        if self.bias_O is not None:
            output += self.bias_O
        return output


class StoredEmbedding(nn.Module):
    """An embedding whose weight is kept in few bits; its rows come out in `dtype`."""

    def __init__(self, weight_VD: Tensor, scale_V: Tensor | None, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight_VD: Tensor
        self.scale_V: Tensor | None
        self.register_buffer("weight_VD", weight_VD)
        self.register_buffer("scale_V", scale_V)
        self._dtype = dtype

    def forward(self, token_ids: Tensor) -> Tensor:
        rows = self.weight_VD[token_ids].to(self._dtype)
        return rows if self.scale_V is None else rows * self.scale_V[token_ids, None].to(self._dtype)


def quantize(transformer: Transformer, dtype: torch.dtype = torch.float32) -> None:
    """Turn all matrices into int8, one at a time, and the rest into `dtype`. Training ends here."""
    mapped = MappedMemory()

    def store(weight_OI: Tensor) -> Stored:
        stored = quantized_rows(weight_OI)
        mapped.give_back(weight_OI)
        return stored

    _store_matrices(transformer, store, dtype)


def widen(transformer: Transformer, dtype: torch.dtype = torch.float32) -> None:
    """Leave all matrices as they are, and compute in `dtype`. Training ends here."""
    _store_matrices(transformer, lambda weight_OI: (weight_OI.detach(), None), dtype)


def _store_matrices(transformer: Transformer, store: Callable[[Tensor], Stored], dtype: torch.dtype) -> None:
    def stored(linear: nn.Module) -> StoredLinear:
        assert isinstance(linear, nn.Linear)
        return StoredLinear(*store(linear.weight), None if linear.bias is None else linear.bias.detach())

    embedding, lm_head = transformer.embedding, transformer.lm_head
    assert isinstance(embedding, nn.Embedding)
    weight_VD, scale_V = store(embedding.weight)
    transformer.embedding = StoredEmbedding(weight_VD, scale_V, dtype)
    transformer.lm_head = StoredLinear(weight_VD, scale_V) if lm_head is None else stored(lm_head)
    for block in transformer.blocks:
        for parent in block.modules():
            for name, child in parent.named_children():
                if isinstance(child, nn.Linear):
                    setattr(parent, name, stored(child))
    for parameter in transformer.parameters():  # norms and biases; the scales stay in float32
        parameter.data = parameter.detach().to(dtype)


def quantized_rows(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix as int8 and the scale (float32) of each row; a row of zeros gets the scale 1."""
    # In parts: as a whole, a matrix in float32 would be held beside the one that comes in.
    num_rows = max(1, _CHUNK // weight_OI.shape[1])
    int8_OI = torch.empty_like(weight_OI, dtype=torch.int8, memory_format=torch.contiguous_format)
    scale_O = torch.empty(len(weight_OI), device=weight_OI.device)
    for int8, scale, weight in _in_parts(num_rows, int8_OI, scale_O, weight_OI.detach()):
        weight = weight.float()
        scale.copy_(weight.abs().amax(dim=1) / _LARGEST)
        scale[scale == 0] = 1
        int8.copy_((weight / scale[:, None]).round_())
    return int8_OI, scale_O


def _in_parts(num_rows: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The tensors side by side, `num_rows` rows at a time."""
    for start in range(0, len(tensors[0]), num_rows):
        yield tuple(tensor[start : start + num_rows] for tensor in tensors)
