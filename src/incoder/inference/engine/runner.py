"""Runs one step: the chunks of several sequences in one pass through the network, by the fastest backends.

Owns the memory of the cache, which has a fixed size. A request outside of an engine that needs more blocks
gets a larger copy of the cache until it ends. The fixed memory keeps its addresses meanwhile, so the CUDA
graphs that were captured on it stay valid. Does not decide which sequence computes when.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from incoder.inference.backends.backend import Backend, Chunk
from incoder.inference.backends.layers import read_layers
from incoder.inference.backends.preference import BACKENDS
from incoder.inference.cache.blocks import BlockPool, OutOfBlocks, root_hash
from incoder.inference.cache.kv_cache import KVCache, bytes_per_token
from incoder.inference.cache.sequence import BlockSequence
from incoder.model.transformer import Transformer

BLOCK_SIZE = 16  # tokens; after an edit, half a block on average is computed again
_MAX_BYTES = 2**30  # of the cache by default, unless one context takes more
_MAX_CONTEXTS = (
    16  # in the cache by default: a pass over a longer pool would delay a small model's short steps
)
# Tokens of a step. A larger step is no faster per token, and the other sequences wait longer for theirs: with
# `mini` on two cores, a long prompt takes as long in steps of 256 as of 512, and 10 % longer in steps of 128.
_STEP_TOKENS, _STEP_TOKENS_ON_CPU = 512, 256


@dataclass(frozen=True, slots=True)
class _Memory:
    """A cache and the backends that read and write it."""

    cache: KVCache
    backends: Sequence[Backend]


class Runner:
    """A Transformer and its cache of `num_blocks` blocks; `backends` in order of preference.

    Callers hold `lock` while they change sequences or compute, so that several threads can use one model and
    take turns step by step.
    """

    def __init__(
        self,
        transformer: Transformer,
        num_blocks: int | None = None,
        backends: Sequence[type[Backend]] = BACKENDS,
    ) -> None:
        config = transformer.config
        if num_blocks is None:
            num_tokens = _MAX_BYTES // bytes_per_token(config, transformer.dtype)
            num_tokens = min(max(num_tokens, config.max_positions), _MAX_CONTEXTS * config.max_positions)
            num_blocks = -(-num_tokens // BLOCK_SIZE)
        self.lock = threading.RLock()
        self.pool = BlockPool(num_blocks)
        self._layers = read_layers(transformer)
        self._backends = [backend for backend in backends if backend.is_available(self._layers)]
        self._num_blocks = num_blocks
        self._fixed = self._memory = self._new_memory(num_blocks)

    @property
    def step_tokens(self) -> int:
        """The token budget of a step."""
        return _STEP_TOKENS_ON_CPU if self._layers.device.type == "cpu" else _STEP_TOKENS

    @property
    def cache(self) -> KVCache:
        """The cache that steps read and write now."""
        return self._memory.cache

    @property
    def backends(self) -> Sequence[Backend]:
        """The backends of that cache that are available on this machine."""
        return self._memory.backends

    def open(self, num_slots: int, cache_salt: str = "") -> BlockSequence:
        """Return an empty sequence that is expected to have at most `num_slots` tokens.

        It shares blocks with sequences of the same salt only.
        """
        return BlockSequence(self.pool, BLOCK_SIZE, num_slots, root_hash(cache_salt))

    def close(self, sequences: Sequence[BlockSequence]) -> None:
        """Free the blocks of these sequences, and the memory beyond the fixed size if it is unused."""
        for sequence in sequences:
            sequence.close()
        if self.pool.num_blocks > self._num_blocks and self.pool.smallest_size() <= self._num_blocks:
            self._resize(self._num_blocks)

    def run(self, chunks: Sequence[Chunk]) -> list[Tensor]:
        """Allocate and compute chunks of different sequences; the cache grows if it has to.

        Returns the logits of each chunk (num_logits × V, float32).
        """
        for chunk in reversed(chunks):
            self.allocate(chunk)
        return self.compute(chunks)

    @torch.inference_mode()
    def allocate(self, chunk: Chunk, *, may_grow: bool = True) -> bool:
        """Append the chunk's tokens to its sequence; return False if the cache is full and may not grow."""
        sequence, token_ids = chunk.sequence, chunk.token_ids
        try:
            copy = sequence.append(token_ids)
        except OutOfBlocks:
            if not may_grow:
                return False
            missing = sequence.num_blocks_needed(len(token_ids)) - self.pool.num_free
            self._resize(self.pool.num_blocks + max(missing, self.pool.num_blocks // 4))
            copy = sequence.append(token_ids)
        if copy is not None:
            self.cache.copy_block(*copy)
        return True

    @torch.inference_mode()
    def compute(self, chunks: Sequence[Chunk]) -> list[Tensor]:
        """Write the chunks' keys and values to the cache; return their logits (num_logits × V, float32)."""
        logits: dict[int, Tensor] = {}
        left = list(range(len(chunks)))
        for backend in self.backends:
            taken = [left[index] for index in backend.can_run([chunks[index] for index in left])]
            if taken:
                some = [chunks[index] for index in taken]
                split = torch.split(backend(some).float(), [chunk.num_logits for chunk in some])
                logits |= zip(taken, split, strict=True)
                left = [index for index in left if index not in logits]
            if not left:
                break
        for chunk in chunks:
            chunk.sequence.cache_full_blocks()
        return [logits[index] for index in range(len(chunks))]

    def _resize(self, num_blocks: int) -> None:
        memory = self._fixed if num_blocks == self._num_blocks else self._new_memory(num_blocks)
        with torch.inference_mode():
            memory.cache.copy_from(self.cache)
        self.pool.resize(num_blocks)
        self._memory = memory

    @torch.inference_mode()
    def _new_memory(self, num_blocks: int) -> _Memory:
        layers = self._layers
        cache = KVCache(layers.config, num_blocks, BLOCK_SIZE, layers.dtype, layers.device)
        return _Memory(cache, [backend(layers, cache) for backend in self._backends])
