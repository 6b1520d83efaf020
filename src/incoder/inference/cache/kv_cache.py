"""The key/value cache itself: for every layer one tensor of keys and one of values, [K, slots, d].

A run of slots is a view of them, read where it lies. On a CPU, memory that was never written to takes none.
"""

import torch
from torch import Tensor

from incoder.model.transformer import TransformerConfig


class KVCache:
    """Slots for the keys and values of tokens, `block_size` side by side."""

    def __init__(
        self,
        config: TransformerConfig,
        num_blocks: int,
        block_size: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.block_size = block_size
        self._dtype, self._device = dtype, device
        self._num_heads, self._head_dim = config.num_kv_heads, config.head_dim
        self.keys = [self._empty(num_blocks) for _ in range(config.num_layers)]
        self.values = [self._empty(num_blocks) for _ in range(config.num_layers)]

    def resize(self, num_blocks: int) -> None:
        """Keep the first blocks, and have so many."""
        for tensors in (self.keys, self.values):
            for layer, tensor in enumerate(tensors):
                resized = self._empty(num_blocks)
                num_kept = min(resized.shape[1], tensor.shape[1])
                resized[:, :num_kept] = tensor[:, :num_kept]
                tensors[layer] = resized

    def copy_block(self, source: int, target: int) -> None:
        size = self.block_size
        for tensors in (self.keys, self.values):
            for tensor in tensors:
                tensor[:, target * size : (target + 1) * size] = tensor[
                    :, source * size : (source + 1) * size
                ]

    def _empty(self, num_blocks: int) -> Tensor:
        num_slots = num_blocks * self.block_size
        return torch.empty(self._num_heads, num_slots, self._head_dim, dtype=self._dtype, device=self._device)


def bytes_per_token(config: TransformerConfig, dtype: torch.dtype) -> int:
    """What the keys and values of one token take."""
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * dtype.itemsize
