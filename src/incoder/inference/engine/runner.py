"""Runs one step: tokens of several sequences through the network in one pass.

Owns the memory of the cache: grows it where sequences that are under way need more than its bound, and goes
back to the bound afterwards. Decides nothing about who reads when.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from incoder.inference.backends.attention import Queries, StepAttention
from incoder.inference.backends.cuda_graphs import GraphedSteps
from incoder.inference.backends.eager_step import TokenStep
from incoder.inference.backends.numba_step import CompiledSteps
from incoder.inference.cache.blocks import BlockPool, OutOfBlocks
from incoder.inference.cache.kv_cache import KVCache, bytes_per_token
from incoder.inference.cache.sequence import BlockSequence
from incoder.model.gemv import MAX_ROWS
from incoder.model.transformer import Transformer

BLOCK_SIZE = 16  # tokens that a changed text reads again in vain: half of that on average
_MAX_BYTES = 2**30  # of what is kept for later, unless one context takes more
_MAX_ROWS_OF_SEVERAL = 16  # in a recorded step: of sequences that read more than one token
_MAX_CONTEXTS = 16  # so that small models, whose steps are short, look through short lists


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens that a sequence reads in a step; the logits wanted are those after the last `num_logits`."""

    sequence: BlockSequence
    token_ids: Sequence[int]
    num_logits: int


class Runner:
    """A Transformer and its cache for at least `num_blocks` blocks."""

    def __init__(self, transformer: Transformer, num_blocks: int | None = None) -> None:
        self._transformer, self._step = transformer, TokenStep(transformer)
        self._device = transformer.device
        config = transformer.config
        if num_blocks is None:
            num_tokens = _MAX_BYTES // bytes_per_token(config, transformer.dtype)
            num_tokens = min(max(num_tokens, config.max_positions), _MAX_CONTEXTS * config.max_positions)
            num_blocks = -(-num_tokens // BLOCK_SIZE)
        self._num_blocks = num_blocks
        self.pool = BlockPool(num_blocks)
        with torch.inference_mode():
            self._store = KVCache(config, num_blocks, BLOCK_SIZE, transformer.dtype, self._device)
        self._set_up_quick_steps()

    def open(self, num_slots: int) -> BlockSequence:
        """An empty sequence that will have at most so many tokens."""
        return BlockSequence(self.pool, BLOCK_SIZE, num_slots)

    def close(self, sequences: Sequence[BlockSequence]) -> None:
        """Give back the blocks of these sequences, and the memory that was needed beyond the bound."""
        for sequence in sequences:
            sequence.close()
        if self.pool.num_blocks > self._num_blocks and self.pool.num_needed() <= self._num_blocks:
            self._resize(self._num_blocks)

    @torch.inference_mode()
    def run(self, chunks: Sequence[Chunk]) -> list[Tensor]:
        """Read all chunks, each of another sequence; the logits wanted of each (num_logits × V, float32)."""
        # Backwards, so that of a sequence and its copies the first, which has room behind it, writes last
        # into what they share, and stays where it is.
        for chunk in reversed(chunks):
            self._append(chunk)
        recorded = _recordable(chunks) if self._graphed is not None else []
        launched = [place for place in range(len(chunks)) if place not in recorded]
        logits: dict[int, Tensor] = {}
        for places, read in ((recorded, self._replay), (launched, self._launch)):
            if places:
                some = [chunks[place] for place in places]
                split = torch.split(read(some).float(), [chunk.num_logits for chunk in some])
                logits |= zip(places, split, strict=True)
        for chunk in chunks:
            chunk.sequence.remember()
        return [logits[place] for place in range(len(chunks))]

    def _replay(self, chunks: Sequence[Chunk]) -> Tensor:
        """The logits wanted (W × V), by a recorded step; it computes those after each token."""
        assert self._graphed is not None
        runs = [chunk.sequence.runs() for chunk in chunks]
        logits_NV = self._graphed([chunk.token_ids for chunk in chunks], runs)
        return logits_NV[self._wanted(chunks)]

    def _launch(self, chunks: Sequence[Chunk]) -> Tensor:
        """The logits wanted (W × V), operation by operation."""
        starts = [len(chunk.sequence) - len(chunk.token_ids) for chunk in chunks]
        slots: list[int] = []
        for chunk, start in zip(chunks, starts, strict=True):
            slots += chunk.sequence.slots(start)
        token_ids = [token_id for chunk in chunks for token_id in chunk.token_ids]
        queries = [Queries(chunk.sequence.runs(), len(chunk.token_ids)) for chunk in chunks]
        wanted = self._wanted(chunks)
        if self._compiled is not None and len(token_ids) <= MAX_ROWS:
            return self._compiled(token_ids, queries, slots, wanted)
        attend = StepAttention(self._store, queries, slots)
        return self._step(self._tensor(token_ids), self._positions(chunks, starts), attend, wanted)

    def _append(self, chunk: Chunk) -> None:
        try:
            copy = chunk.sequence.append(chunk.token_ids)
        except OutOfBlocks:
            missing = chunk.sequence.num_to_take(len(chunk.token_ids)) - self.pool.num_unused
            self._resize(self.pool.num_blocks + max(missing, self.pool.num_blocks // 4))
            copy = chunk.sequence.append(chunk.token_ids)
        if copy is not None:
            self._store.copy_block(*copy)

    def _positions(self, chunks: Sequence[Chunk], starts: Sequence[int]) -> slice | Tensor:
        ends = [start + len(chunk.token_ids) for chunk, start in zip(chunks, starts, strict=True)]
        if len(chunks) == 1:
            return slice(starts[0], ends[0])
        return self._tensor(
            [position for start, end in zip(starts, ends, strict=True) for position in range(start, end)]
        )

    def _wanted(self, chunks: Sequence[Chunk]) -> slice | Tensor:
        """The places of the tokens after which logits are wanted."""
        if len(chunks) == 1:
            num_tokens = len(chunks[0].token_ids)
            return slice(num_tokens - chunks[0].num_logits, num_tokens)
        wanted: list[int] = []
        end = 0
        for chunk in chunks:
            end += len(chunk.token_ids)
            wanted += range(end - chunk.num_logits, end)
        return slice(None) if len(wanted) == end else self._tensor(wanted)

    @torch.inference_mode()
    def _resize(self, num_blocks: int) -> None:
        self.pool.resize(num_blocks)
        self._store.resize(num_blocks)
        self._set_up_quick_steps()

    def _set_up_quick_steps(self) -> None:
        """For short steps, where there is something quicker than PyTorch; they know where the store is."""
        self._graphed = (
            GraphedSteps(self._transformer, self._step, self._store) if self._device.type == "cuda" else None
        )
        self._compiled = (
            CompiledSteps(self._transformer, self._step, self._store)
            if CompiledSteps.can_run(self._transformer)
            else None
        )

    def _tensor(self, values: list[int]) -> Tensor:
        """On the device, without waiting until it is done with the step before."""
        tensor = torch.tensor(values, dtype=torch.long, pin_memory=self._device.type == "cuda")
        return tensor.to(self._device, non_blocking=True)


def _recordable(chunks: Sequence[Chunk]) -> list[int]:
    """The places of those that are worth a recorded step, in which each token is a row of its own.

    All that are one token, and those of several as long as they are few together.
    """
    places, num_rows = [], 0
    for place, chunk in enumerate(chunks):
        num_tokens = len(chunk.token_ids)
        if num_tokens == 1:
            places.append(place)
        elif num_rows + num_tokens <= _MAX_ROWS_OF_SEVERAL:
            places.append(place)
            num_rows += num_tokens
    return places
