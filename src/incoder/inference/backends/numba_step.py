"""Steps with few tokens on a CPU: each block of the network is one call of a numba kernel (model/kernels.py).

Between the matrix products, a step with one token has so little to compute that calling PyTorch takes longer
than computing. The eager step is the reference implementation.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from incoder.inference.backends.backend import Chunk, logits_indices, new_slots_of, positions_of, tokens_of
from incoder.inference.backends.eager_step import EagerStep
from incoder.inference.backends.layers import Layer, ModelLayers, Norm
from incoder.inference.cache.kv_cache import KVCache
from incoder.inference.cache.sequence import Extent
from incoder.model.gemv import (
    MAX_ROWS,
    Matrix,
    as_floats,
    as_matrix,
    has_kernels,
    storage_of,
    threads_of_torch,
)

_DTYPES = (torch.float32, torch.bfloat16)  # of the hidden states; the kernels compute in float32 either way
_NormArrays = tuple[NDArray[np.float32], NDArray[np.float32]]  # weight and bias; empty for RMSNorm


class NumbaBackend:
    """Runs steps of up to `MAX_ROWS` tokens in all."""

    def __init__(self, layers: ModelLayers, cache: KVCache) -> None:
        from incoder.model import kernels

        self._step, self._compute_block = EagerStep(layers), kernels.compute_block
        self._device, self._eps = layers.device, layers.config.norm_eps
        self._activation = kernels.ACTIVATIONS[layers.activation]
        cosines, sines = layers.rotation() or (torch.empty(0, layers.config.head_dim),) * 2
        self._rotation = (as_floats(cosines), as_floats(sines))
        self._blocks = [
            ((_arrays(layer.attention_norm), _arrays(layer.feed_forward_norm)), _matrices(layer))
            for layer in layers.layers
        ]
        self._cache = [
            (storage_of(keys_KSd), storage_of(values_KSd))
            for keys_KSd, values_KSd in zip(cache.keys, cache.values, strict=True)
        ]

    @staticmethod
    def is_available(layers: ModelLayers) -> bool:
        """Whether numba is installed and its kernels read the dtypes of the network and of each matrix."""
        if layers.device.type != "cpu" or layers.dtype not in _DTYPES or not has_kernels():
            return False
        return all(_matrices(layer) is not None for layer in layers.layers)

    def can_run(self, chunks: Sequence[Chunk]) -> Sequence[int]:
        """Return all chunks or none: running the rest elsewhere would read all weights again."""
        return range(len(chunks)) if sum(len(chunk.token_ids) for chunk in chunks) <= MAX_ROWS else ()

    def __call__(self, chunks: Sequence[Chunk]) -> Tensor:
        extents: list[Extent] = []
        extents_of_rows: list[tuple[int, int]] = []
        for chunk in chunks:
            own = chunk.sequence.extents()
            extents_of_rows += [(len(extents), len(extents) + len(own))] * len(chunk.token_ids)
            extents += own
        positions = positions_of(chunks)
        positions_N = np.array(positions)
        embedded_ND = self._step.embed(torch.tensor(tokens_of(chunks)), torch.tensor(positions))
        hidden_ND = embedded_ND.float()
        hidden = hidden_ND.numpy()  # shares its memory: the kernels change it in place
        slots = (
            positions_N,
            np.array(new_slots_of(chunks)),
            np.array(extents),
            np.array(extents_of_rows),
            positions_N + 1,
        )
        with threads_of_torch():
            for (norms, matrices), cache in zip(self._blocks, self._cache, strict=True):
                self._compute_block(
                    hidden, norms, self._eps, matrices, self._activation, self._rotation, cache, slots
                )
        hidden_nD = hidden_ND[logits_indices(chunks, self._device)]
        return self._step.logits(hidden_nD.to(embedded_ND.dtype))


def _arrays(norm: Norm) -> _NormArrays:
    return as_floats(norm.weight_D), as_floats(norm.bias_D)


def _matrices(layer: Layer) -> tuple[tuple[NDArray[np.generic], ...], ...] | None:
    """Return the matrices in the order that the kernel takes; None if it cannot read one of them.

    Plain tuples: numba stores the types of arguments beside what it compiled, and a class of ours that was
    renamed since could not be loaded again.
    """
    found: list[Matrix | None] = [
        as_matrix(linear.weight_OI, linear.scale, linear.bias_O)
        for linear in (layer.qkv, layer.output, layer.up, layer.down)
    ]
    matrices = tuple(tuple(matrix) for matrix in found if matrix is not None)
    return matrices if len(matrices) == len(found) else None
