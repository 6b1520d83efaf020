"""The interface of a backend: a way to compute one step of the network, on the chunks that it can run.

A step has a chunk for each sequence that takes part: a single new token while it decodes, a piece of the
prompt during prefill. The engine offers the chunks of a step to the backends in order of preference
(preference.py); each runs those that it can, and the eager step runs the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from incoder.inference.backends.layers import ModelLayers
from incoder.inference.cache.kv_cache import KVCache
from incoder.inference.cache.sequence import BlockSequence


@dataclass(frozen=True, slots=True)
class Chunk:
    """The last tokens of a sequence: they have slots, and this step computes their keys and values.

    The step returns the logits after the last `num_logits` of them.
    """

    sequence: BlockSequence
    token_ids: Sequence[int]
    num_logits: int

    @property
    def start(self) -> int:
        """The position of the first of these tokens in its sequence."""
        return len(self.sequence) - len(self.token_ids)


class Backend(Protocol):
    """Computes chunks of one step: writes their keys and values to the cache, returns logits."""

    def __init__(self, layers: ModelLayers, cache: KVCache) -> None: ...

    @staticmethod
    def is_available(layers: ModelLayers) -> bool:
        """Whether this machine can run the backend on these weights at all."""

    def can_run(self, chunks: Sequence[Chunk]) -> Sequence[int]:
        """Return the indices of the chunks that the backend can run in one call."""

    def __call__(self, chunks: Sequence[Chunk]) -> Tensor:
        """Return the logits of these chunks, one after the other (sum of `num_logits` × V)."""


def tokens_of(chunks: Sequence[Chunk]) -> list[int]:
    """Return the tokens of all chunks, one chunk after the other.

    >>> from incoder.inference.cache.blocks import BlockPool
    >>> sequence = BlockSequence(BlockPool(4), block_size=4, num_slots=4)
    >>> sequence.append([7, 8])
    >>> tokens_of([Chunk(sequence, [7, 8], num_logits=1)])
    [7, 8]
    """
    return [token_id for chunk in chunks for token_id in chunk.token_ids]


def positions_of(chunks: Sequence[Chunk]) -> list[int]:
    """Return each token's position in its sequence.

    >>> from incoder.inference.cache.blocks import BlockPool
    >>> sequence = BlockSequence(BlockPool(4), block_size=4, num_slots=4)
    >>> sequence.append([7, 8])
    >>> positions_of([Chunk(sequence, [8], num_logits=1)])
    [1]
    """
    return [position for chunk in chunks for position in range(chunk.start, len(chunk.sequence))]


def new_slots_of(chunks: Sequence[Chunk]) -> list[int]:
    """Return the slot of each token.

    >>> from incoder.inference.cache.blocks import BlockPool
    >>> sequence = BlockSequence(BlockPool(4), block_size=4, num_slots=4)
    >>> sequence.append([7, 8])
    >>> new_slots_of([Chunk(sequence, [7, 8], num_logits=1)])
    [0, 1]
    """
    return [slot for chunk in chunks for slot in chunk.sequence.slots(chunk.start)]


def logits_indices(chunks: Sequence[Chunk], device: torch.device) -> slice | Tensor:
    """Return the indices of the tokens whose logits are needed; a slice if possible, which copies nothing.

    >>> from incoder.inference.cache.blocks import BlockPool
    >>> sequence = BlockSequence(BlockPool(4), block_size=4, num_slots=4)
    >>> sequence.append([7, 8])
    >>> logits_indices([Chunk(sequence, [7, 8], num_logits=1)], torch.device("cpu"))
    slice(1, 2, None)
    """
    if len(chunks) == 1:
        num_tokens = len(chunks[0].token_ids)
        return slice(num_tokens - chunks[0].num_logits, num_tokens)
    indices: list[int] = []
    end = 0
    for chunk in chunks:
        end += len(chunk.token_ids)
        indices += range(end - chunk.num_logits, end)
    return slice(None) if len(indices) == end else to_device(indices, device)


def to_device(numbers: list[int], device: torch.device) -> Tensor:
    """Return the numbers (int64) on the device, without waiting for a GPU to finish the previous step.

    >>> to_device([3, 5], torch.device("cpu")).tolist()
    [3, 5]
    """
    tensor = torch.tensor(numbers, dtype=torch.long, pin_memory=device.type == "cuda")
    return tensor.to(device, non_blocking=True)
