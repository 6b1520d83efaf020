"""Steps with few new tokens on a CPU: a block of the network is one call of a kernel (model/kernels.py).

Beside the products a step with one token has so little to compute that calling PyTorch for it takes longer.
How the network computes is TokenStep's business, which is the slow twin; here is only where its numbers are.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from incoder.inference.backends.attention import Queries
from incoder.inference.backends.eager_step import TokenStep
from incoder.inference.cache.kv_cache import KVCache
from incoder.inference.cache.sequence import Run
from incoder.model.gemv import (
    MAX_ROWS,
    Matrix,
    as_floats,
    as_matrix,
    has_kernels,
    storage_of,
    threads_of_torch,
)
from incoder.model.quantization import QuantizedLinear
from incoder.model.transformer import Transformer

_DTYPES = (torch.float32, torch.bfloat16)  # of the network; between its matrices it is float32 either way
_Norm = tuple[NDArray[np.float32], NDArray[np.float32]]  # weight and bias, empty where there is none


class CompiledSteps:
    """Reads up to `MAX_ROWS` tokens at once, each behind what its own sequence has read."""

    def __init__(self, transformer: Transformer, step: TokenStep, store: KVCache) -> None:
        from incoder.model import kernels

        self._step, self._run_block = step, kernels.run_block
        config = transformer.config
        self._eps = config.norm_eps
        activations = {"llama": kernels.SWIGLU, "xglm": kernels.GELU, "starcoder2": kernels.TANH_GELU}
        self._activation = activations[config.shape]
        self._rotation = (as_floats(step.cosines), as_floats(step.sines))
        self._blocks = [(_norms(block), _matrices(block)) for block in transformer.blocks]
        self._cache = [
            (storage_of(keys_KSd), storage_of(values_KSd))
            for keys_KSd, values_KSd in zip(store.keys, store.values, strict=True)
        ]

    @staticmethod
    def can_run(transformer: Transformer) -> bool:
        """Whether there are kernels, for this network's precision and for that of each matrix."""
        if transformer.device.type != "cpu" or transformer.dtype not in _DTYPES or not has_kernels():
            return False
        return all(_matrices(block) is not None for block in transformer.blocks)

    def __call__(
        self,
        token_ids: Sequence[int],
        queries: Sequence[Queries],
        new_slots: Sequence[int],
        wanted: slice | Tensor,
    ) -> Tensor:
        """The logits (num_wanted × V) after those of the tokens that are `wanted`."""
        assert len(token_ids) <= MAX_ROWS
        runs: list[Run] = []
        runs_of_rows: list[tuple[int, int]] = []
        positions: list[int] = []
        for query in queries:
            num_tokens = sum(end - start for start, end in query.runs)
            positions += range(num_tokens - query.num_new, num_tokens)
            runs_of_rows += [(len(runs), len(runs) + len(query.runs))] * query.num_new
            runs += query.runs
        positions_N = np.array(positions)
        embedded_ND = self._step.embedded(torch.tensor(token_ids), torch.tensor(positions))
        hidden_ND = embedded_ND.float()
        hidden = hidden_ND.numpy()  # the same memory
        places = (positions_N, np.array(new_slots), np.array(runs), np.array(runs_of_rows), positions_N + 1)
        with threads_of_torch():
            for (norms, matrices), cache in zip(self._blocks, self._cache, strict=True):
                self._run_block(
                    hidden, norms, self._eps, matrices, self._activation, self._rotation, cache, places
                )
        return self._step.logits(hidden_ND[wanted].to(embedded_ND.dtype))


def _norms(block: nn.Module) -> tuple[_Norm, _Norm]:
    """The one before attention, and the one before the feed-forward layer."""

    def norm(name: str) -> _Norm:
        module = block.get_submodule(name)
        weight, bias = module.weight, getattr(module, "bias", None)
        assert isinstance(weight, Tensor)
        return as_floats(weight), as_floats(bias)

    return norm("attention_norm"), norm("feed_forward_norm")


def _matrices(block: nn.Module) -> tuple[Matrix, ...] | None:
    """Those that are multiplied with, in that order; None where the kernels cannot read one."""
    linear = [module for module in block.modules() if isinstance(module, nn.Linear | QuantizedLinear)]
    found = [
        as_matrix(module.weight_OI, module.scale, module.bias_O)
        if isinstance(module, QuantizedLinear)
        else as_matrix(module.weight, None, module.bias)
        for module in linear
    ]
    matrices = tuple(matrix for matrix in found if matrix is not None)
    return matrices if len(matrices) == len(found) else None
