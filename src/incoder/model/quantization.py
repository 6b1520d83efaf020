"""Weights stored in fewer bits than the network computes in: int4 or int8 with scales, or half precision.

Decoding reads all weights for every token, so a quarter of float32's bytes means up to four times the speed,
as long as memory bounds the product (gemv.py). Int8 is symmetric and rounded to nearest, with one scale per
output row; int4 has one scale per group in a row (packing.py). Neither needs calibration data. Half precision
is a storage dtype too on processors that cannot multiply in it.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from incoder.model import packing
from incoder.model.gemm import gemm
from incoder.model.gemv import has_kernels, threads_of_torch
from incoder.model.mapped_memory import MappedMemory, give_back_freed_memory
from incoder.model.transformer import Transformer

_LARGEST = 127
# Elements dequantized per chunk: few on a CPU to bound memory, many on a GPU to amortize kernel launches.
_CHUNK, _GPU_CHUNK = 1_000_000, 4_000_000

Stored = tuple[Tensor, Tensor | None]  # a matrix [O, I] in its storage dtype, and its scales if it has any


class QuantizedLinear(nn.Module):
    """A linear layer whose weight has a storage dtype of its own: input @ (weight * scale).T + bias.

    An int8 weight has a scale for each row [O], a packed int4 weight [O, I / 2] one for each group
    [O, I / 64], a weight in half precision has none. The output has the input's dtype.
    """

    def __init__(self, weight_OI: Tensor, scale: Tensor | None, bias_O: Tensor | None = None) -> None:
        super().__init__()
        self.weight_OI: Tensor
        self.scale: Tensor | None
        self.register_buffer("weight_OI", weight_OI)
        self.register_buffer("scale", scale)
        self.bias_O = None if bias_O is None else nn.Parameter(bias_O, requires_grad=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states […, I] → […, O]; the weight is dequantized chunk by chunk."""
        output = hidden.new_empty(*hidden.shape[:-1], len(self.weight_OI))
        for rows in _chunks(self.weight_OI, hidden.shape[-1]):
            output[..., rows] = gemm(hidden, self._dequantized(rows, hidden.dtype))
        if self.scale is not None and not self._is_packed:
            output *= self.scale.to(output.dtype)
        if self.bias_O is not None:
            output += self.bias_O
        return output

    @property
    def _is_packed(self) -> bool:
        return self.weight_OI.dtype == packing.DTYPE

    def _dequantized(self, rows: slice, dtype: torch.dtype) -> Tensor:
        """Return rows of the weight in `dtype`, without the scales of int8 rows: the caller applies them."""
        if self._is_packed:
            assert self.scale is not None
            return _unpack(self.weight_OI[rows], self.scale[rows], dtype)
        return self.weight_OI[rows].to(dtype)


class QuantizedEmbedding(nn.Module):
    """An embedding whose weight has a storage dtype of its own; its output has `dtype`."""

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


def quantize(
    transformer: Transformer,
    dtype: torch.dtype = torch.float32,
    *,
    num_bits: int = 8,
    read: Callable[[Tensor], Tensor] = lambda weight: weight,
) -> None:
    """Quantize all matrices in place, one at a time, and convert the rest to `dtype`.

    With four bits, the matrices of the blocks are packed if their rows consist of whole steps; the embedding
    and the output layer are int8. `read` is called with each matrix in turn and returns its values, so that
    the network may be on the meta device and only one matrix in memory. The network can no longer be trained.
    """
    assert num_bits in (4, 8)
    mapped = MappedMemory()

    def store(outline_OI: Tensor, is_in_block: bool) -> Stored:
        weight_OI = read(outline_OI)
        is_packed = num_bits == 4 and is_in_block and packing.can_pack(weight_OI)
        stored = packed_rows(weight_OI) if is_packed else quantized_rows(weight_OI)
        mapped.give_back(weight_OI)
        return stored

    _store_matrices(transformer, store, dtype)
    give_back_freed_memory()


def set_compute_dtype(transformer: Transformer, dtype: torch.dtype = torch.float32) -> None:
    """Keep the storage dtype of all matrices, but compute in `dtype`. Prevents further training."""
    _store_matrices(transformer, lambda weight_OI, _: (weight_OI.detach(), None), dtype)


def _store_matrices(
    transformer: Transformer, store: Callable[[Tensor, bool], Stored], dtype: torch.dtype
) -> None:
    """Replace every matrix; `store` gets its weight and whether it belongs to a block."""

    def stored(linear: nn.Module, is_in_block: bool) -> QuantizedLinear:
        assert isinstance(linear, nn.Linear)
        bias_O = None if linear.bias is None else linear.bias.detach()
        return QuantizedLinear(*store(linear.weight, is_in_block), bias_O)

    embedding, lm_head = transformer.embedding, transformer.lm_head
    assert isinstance(embedding, nn.Embedding)
    weight_VD, scale_V = store(embedding.weight, False)
    transformer.embedding = QuantizedEmbedding(weight_VD, scale_V, dtype)
    transformer.lm_head = QuantizedLinear(weight_VD, scale_V) if lm_head is None else stored(lm_head, False)
    for block in transformer.blocks:
        for parent in block.modules():
            for name, child in parent.named_children():
                if isinstance(child, nn.Linear):
                    setattr(parent, name, stored(child, True))
    for parameter in transformer.parameters():  # norms and biases; scales stay in float32
        parameter.data = parameter.detach().to(dtype)


def quantized_rows(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """Return the matrix in int8 and the scale (float32) of each row; a row of zeros gets the scale 1.

    >>> int8_OI, scale_O = quantized_rows(torch.tensor([[1.0, -0.5], [0.0, 0.0]]))
    >>> int8_OI.tolist(), scale_O[1].item()
    ([[127, -64], [0, 0]], 1.0)
    """
    weight_OI = weight_OI.detach()
    int8_OI = torch.empty_like(weight_OI, dtype=torch.int8, memory_format=torch.contiguous_format)
    scale_O = torch.empty(len(weight_OI), dtype=torch.float32, device=weight_OI.device)
    for rows in _chunks(weight_OI, weight_OI.shape[1]):
        floats = weight_OI[rows].float()
        scale = floats.abs().amax(dim=1) / _LARGEST
        scale_O[rows] = torch.where(scale > 0, scale, 1.0)
        int8_OI[rows] = (floats / scale_O[rows, None]).round_()
    return int8_OI, scale_O


def packed_rows(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """Return the matrix packed in four bits and the scales of its groups (packing.py)."""
    parts = [packing.pack(weight_OI.detach()[rows]) for rows in _chunks(weight_OI, weight_OI.shape[1])]
    packed, scales = zip(*parts, strict=True)
    return torch.cat(packed), torch.cat(scales)


def _unpack(packed_OP: Tensor, scale_OG: Tensor, dtype: torch.dtype) -> Tensor:
    """`packing.unpack`, in a seventh of the time if there is a kernel."""
    if packed_OP.device.type != "cpu" or dtype != torch.float32 or not has_kernels():
        return packing.unpack(packed_OP, scale_OG, dtype)
    from incoder.model import kernels

    output_OI = scale_OG.new_empty(len(packed_OP), 2 * packed_OP.shape[1])
    with threads_of_torch():
        kernels.unpack(packed_OP.numpy(), scale_OG.numpy(), output_OI.numpy())
    return output_OI


def _chunks(weight: Tensor, row_length: int) -> Iterator[slice]:
    """Yield slices of rows that are converted at once: a whole matrix would be in memory twice."""
    chunk_size = _CHUNK if weight.device.type == "cpu" else _GPU_CHUNK
    num_together = max(1, chunk_size // row_length)
    for start in range(0, len(weight), num_together):
        yield slice(start, start + num_together)
