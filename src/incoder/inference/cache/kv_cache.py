"""The memory of the key/value cache: for every layer one tensor of keys and one of values, [K, slots, d].

An extent of slots is a view of these tensors and is read in place. On a CPU, the operating system provides
memory only for slots that were written.
"""

import torch
from torch import Tensor

from incoder.model.transformer import TransformerConfig


class KVCache:
    """Slots for the keys and values of `num_blocks` · `block_size` tokens."""

    def __init__(
        self,
        config: TransformerConfig,
        num_blocks: int,
        block_size: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.block_size = block_size
        shape = (config.num_kv_heads, num_blocks * block_size, config.head_dim)
        self.keys = [torch.empty(shape, dtype=dtype, device=device) for _ in range(config.num_layers)]
        self.values = [torch.empty(shape, dtype=dtype, device=device) for _ in range(config.num_layers)]

    def copy_from(self, other: "KVCache") -> None:
        """Copy the slots that both caches have."""
        for target, source in self._pairs(other):
            num_slots = min(target.shape[1], source.shape[1])
            target[:, :num_slots] = source[:, :num_slots]

    def copy_block(self, source: int, target: int) -> None:
        """Copy the keys and values of one block to another (copy on write)."""
        size = self.block_size
        for tensor, _ in self._pairs(self):
            tensor[:, target * size : (target + 1) * size] = tensor[:, source * size : (source + 1) * size]

    def _pairs(self, other: "KVCache") -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.keys + self.values, other.keys + other.values, strict=True))


def bytes_per_token(config: TransformerConfig, dtype: torch.dtype) -> int:
    """Return the size of one token's keys and values in all layers.

    >>> from incoder.model.sizes import config_for
    >>> bytes_per_token(config_for("mini", "llama", vocab_size=1000), torch.float32)
    6144
    """
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * dtype.itemsize
