"""A sequence with tokens to compute, over as many steps as that takes (chunked prefill)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from incoder.inference.backends.backend import Chunk
from incoder.inference.cache.blocks import BlockHash, BlockPool
from incoder.inference.cache.sequence import BlockSequence
from incoder.inference.engine.runner import BLOCK_SIZE, Runner
from incoder.inference.engine.scheduler import schedule


class ScheduledSequence:
    """New `token_ids` of a sequence to compute, and the logits of the last one or of all."""

    def __init__(
        self, sequence: BlockSequence, token_ids: Sequence[int], *, all_logits: bool = False
    ) -> None:
        self.sequence = sequence
        self._token_ids = token_ids
        self._num_logits = len(token_ids) if all_logits else min(1, len(token_ids))
        self._num_computed = 0
        self._logits: list[Tensor] = []
        self.num_cached: int | None = None  # tokens found in the prefix cache; None before `start`
        self._is_prefill = not len(sequence)
        self._block_hashes: dict[BlockHash, int] | None = None  # of a prefill: the index of each full block

    @property
    def num_left(self) -> int:
        """The number of tokens that are not computed yet."""
        return len(self._token_ids) - self._num_computed

    @property
    def num_blocks_needed(self) -> int:
        """The number of free blocks that computing the tokens left takes."""
        num_blocks = self.sequence.num_blocks_needed(self.num_left)
        if len(self.sequence):
            return num_blocks
        return num_blocks - self.sequence.num_blocks_shared(self._token_ids, self._num_logits)

    def first_missing_block(self, pool: BlockPool) -> BlockHash | None:
        """Return the hash of the first full block of a prefill that is not in the prefix cache."""
        hashes = list(self._hashes_of_prefill())
        num_found = len(pool.lookup(hashes))
        return hashes[num_found] if num_found < len(hashes) else None

    def will_compute(self, block_hash: BlockHash) -> bool:
        """Whether this prefill is about to compute the block with this hash."""
        index = self._hashes_of_prefill().get(block_hash)
        return index is not None and index >= len(self.sequence) // BLOCK_SIZE

    def start(self) -> None:
        """Match an empty sequence's prefix in the cache, except for tokens whose logits are needed."""
        if not len(self.sequence):
            self._num_computed = self.sequence.match_prefix(self._token_ids, self._num_logits)
        if self.num_cached is None:  # after a preemption the sequence matches blocks of its own
            self.num_cached = self._num_computed

    def preempt(self) -> None:
        """Free the sequence's blocks. After the next `start`, all its tokens are computed again."""
        self._token_ids = [*self.sequence.preempt(), *self._token_ids[self._num_computed :]]
        self._num_computed = 0
        self._logits = []
        self._is_prefill, self._block_hashes = True, None

    def _hashes_of_prefill(self) -> dict[BlockHash, int]:
        """Return the hashes of the full blocks of a prefill with their indices; empty for other sequences."""
        if self._block_hashes is None:
            tokens = self._token_ids if self._is_prefill else ()
            hashes = self.sequence.prefix_hashes(tokens, self._num_logits)
            self._block_hashes = {block_hash: index for index, block_hash in enumerate(hashes)}
        return self._block_hashes

    def next_chunk(self, num_tokens: int) -> Chunk:
        """Return the next tokens to compute. Call `take` with their logits before the next call."""
        start, end = self._num_computed, self._num_computed + num_tokens
        first_with_logits = len(self._token_ids) - self._num_logits
        num_logits = max(0, end - max(start, first_with_logits))
        return Chunk(self.sequence, self._token_ids[start:end], num_logits)

    def take(self, chunk: Chunk, logits_WV: Tensor) -> None:
        """Count the chunk's tokens as computed and keep their logits."""
        self._num_computed += len(chunk.token_ids)
        if chunk.num_logits:
            self._logits.append(logits_WV)

    @property
    def has_logits(self) -> bool:
        """Whether logits are needed: not for a row of a batch without new tokens."""
        return self._num_logits > 0

    def logits(self) -> Tensor:
        """Return the logits (num_logits × V), once no token is left."""
        return self._logits[0] if len(self._logits) == 1 else torch.cat(self._logits)


class StepResult(NamedTuple):
    """The numbers of sequences that a step has extended, and that had to wait for free blocks."""

    num_computed: int
    num_waiting: int


def step(
    runner: Runner,
    requests: Sequence[Sequence[ScheduledSequence]],
    num_tokens: int | None = None,
    *,
    may_grow: bool = True,
) -> StepResult:
    """Compute one step of these requests' sequences, the oldest request first.

    `num_tokens` is the token budget, by default the runner's. If too few blocks are free for a sequence, the
    cache grows if it `may_grow`; else the sequence waits.
    """
    scheduled = [sequence for request in requests for sequence in request]
    budget = runner.step_tokens if num_tokens is None else num_tokens
    shares = schedule([sequence.num_left for sequence in scheduled], budget)
    chunks: dict[int, Chunk] = {}
    num_waiting = 0
    with runner.lock:
        for index in _allocation_order(requests):
            if shares[index]:
                chunk = scheduled[index].next_chunk(shares[index])
                if runner.allocate(chunk, may_grow=may_grow):
                    chunks[index] = chunk
                else:
                    num_waiting += 1
        indices = sorted(chunks)
        if indices:
            logits = runner.compute([chunks[index] for index in indices])
            for index, logits_WV in zip(indices, logits, strict=True):
                scheduled[index].take(chunks[index], logits_WV)
    return StepResult(len(indices), num_waiting)


def _allocation_order(requests: Sequence[Sequence[ScheduledSequence]]) -> list[int]:
    """Return indices into all sequences: older requests first, the sequences of one request in reverse.

    In reverse: among forks that share their last block, the original appends last. By then it is the only
    user, so it is not copied and keeps its reserved extent.
    """
    order: list[int] = []
    for request in requests:
        order += reversed(range(len(order), len(order) + len(request)))
    return order
