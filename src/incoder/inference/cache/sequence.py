"""One sequence: its token ids and the cache blocks that hold their keys and values.

The first append reserves blocks for all tokens that the sequence is expected to have, in one extent if one is
free. Full blocks are shared with forks of the sequence and with later sequences that have the same prefix; a
shared block is copied before it is written to (copy on write). Plain ints; knows no tensors.
"""

from collections.abc import Sequence
from typing import NamedTuple

from incoder.inference.cache.blocks import BlockHash, BlockPool, chained_hash


class Extent(NamedTuple):
    """Contiguous slots of the cache: from `start` up to, not including, `end`."""

    start: int
    end: int


class BlockSequence:
    """A sequence that is expected to have `num_slots` tokens, in blocks of `block_size`. It may have more.

    >>> pool = BlockPool(num_blocks=8)
    >>> sequence = BlockSequence(pool, block_size=4, num_slots=6)
    >>> sequence.append([11, 12, 13, 14, 15])
    >>> sequence.extents()
    [Extent(start=0, end=5)]
    >>> sequence.cache_full_blocks()
    >>> BlockSequence(pool, block_size=4, num_slots=6).match_prefix([11, 12, 13, 14, 99])
    4
    """

    def __init__(self, pool: BlockPool, block_size: int, num_slots: int, root: BlockHash = b"") -> None:
        self._pool = pool
        self._block_size = block_size
        self._num_slots = num_slots
        self._blocks: list[int] = []
        self._hashes: list[BlockHash] = [
            root
        ]  # [i] is the chained hash of the first i blocks, which are full
        self._fork_points: set[int] = set()  # indices of the first blocks that forks do not share
        self._block_extents: list[tuple[int, int]] | None = []
        self.token_ids: list[int] = []

    def __len__(self) -> int:
        return len(self.token_ids)

    def match_prefix(self, token_ids: Sequence[int], num_to_compute: int = 1) -> int:
        """Start with the cached blocks that hold a prefix of these tokens; return the prefix's length.

        The last `num_to_compute` tokens are never matched, since logits come only from computing a token.
        """
        assert not self.token_ids
        assert not self._blocks
        hashes = self.prefix_hashes(token_ids, num_to_compute)
        found = self._pool.lookup(hashes)
        self._pool.incref(found)
        self._blocks = found
        self._hashes += hashes[: len(found)]
        self.token_ids = list(token_ids[: len(found) * self._block_size])
        self._block_extents = None
        return len(self.token_ids)

    def prefix_hashes(self, token_ids: Sequence[int], num_to_compute: int = 1) -> list[BlockHash]:
        """Return the chained hashes of the full blocks that `match_prefix` looks for, in order."""
        parent, size = self._hashes[0], self._block_size
        hashes = []
        for start in range(0, len(token_ids) - num_to_compute - size + 1, size):
            parent = chained_hash(parent, token_ids[start : start + size])
            hashes.append(parent)
        return hashes

    def num_blocks_shared(self, token_ids: Sequence[int], num_to_compute: int = 1) -> int:
        """Return the number of blocks in use that `match_prefix` would share instead of taking free ones."""
        found = self._pool.lookup(self.prefix_hashes(token_ids, num_to_compute))
        return sum(self._pool.ref_count(block) > 0 for block in found)

    def num_blocks_needed(self, num_tokens: int) -> int:
        """Return the number of blocks that appending this many tokens allocates: at first, all expected."""
        first = len(self.token_ids) // self._block_size
        num_copied = first < len(self._blocks) and self._pool.ref_count(self._blocks[first]) > 1
        return max(0, self._num_blocks_for(num_tokens) - len(self._blocks)) + num_copied

    def append(self, token_ids: Sequence[int]) -> tuple[int, int] | None:
        """Append tokens and make sure that each has a slot.

        If the result is a pair of blocks, copy the contents of the first to the second before the tokens'
        keys and values are written (copy on write).

        Raises:
            OutOfBlocks: too few blocks are free; nothing has changed.
        """
        start, size = len(self.token_ids), self._block_size
        first, copy = start // size, None
        missing = max(0, self._num_blocks_for(len(token_ids)) - len(self._blocks))
        if first < len(self._blocks) and self._pool.ref_count(self._blocks[first]) > 1:
            # The reserved blocks after a shared block stay with the sequence that shares it.
            new = self._pool.allocate(1 + missing, self._blocks[first - 1] if first else None)
            old = self._blocks[first]
            self._pool.free([old])
            self._blocks[first] = new.pop(0)
            copy = (old, self._blocks[first]) if start % size else None
            self._blocks += new
            self._block_extents = None
        elif missing:
            self._blocks += self._pool.allocate(missing, self._blocks[-1] if self._blocks else None)
            self._block_extents = None
        for block in self._blocks[first : -(-(start + len(token_ids)) // size)]:
            self._pool.evict(block)
        self.token_ids += token_ids
        return copy

    def cache_full_blocks(self) -> None:
        """Enter the full blocks into the prefix cache; their keys and values have been computed."""
        size = self._block_size
        for index in range(len(self._hashes) - 1, len(self.token_ids) // size):
            parent = self._hashes[-1]
            block_hash = chained_hash(parent, self.token_ids[index * size : (index + 1) * size])
            self._hashes.append(block_hash)
            self._pool.cache(self._blocks[index], block_hash, parent)

    def rollback(self, num_tokens: int) -> None:
        """Remove this many tokens from the end."""
        num_left = len(self.token_ids) - num_tokens
        assert 0 <= num_left <= len(self.token_ids)
        del self.token_ids[num_left:]
        del self._hashes[num_left // self._block_size + 1 :]
        unused = self._blocks[-(-num_left // self._block_size) :]
        if any(self._pool.ref_count(block) > 1 for block in unused):  # other sequences use them
            self._pool.free(unused)
            self._blocks = self._blocks[: len(self._blocks) - len(unused)]
            self._block_extents = None
        else:  # they stay reserved and will be overwritten, so the prefix cache must not find them
            for block in unused:
                self._pool.evict(block)

    def fork(self) -> "BlockSequence":
        """Return a copy that shares all blocks that hold tokens."""
        copy = BlockSequence(self._pool, self._block_size, self._num_slots)
        copy.token_ids = list(self.token_ids)
        copy._blocks = self._blocks[: -(-len(self.token_ids) // self._block_size)]
        copy._hashes = list(self._hashes)
        self._pool.incref(copy._blocks)
        self._fork_points.add(len(self.token_ids) // self._block_size)
        copy._fork_points = set(self._fork_points)
        self._block_extents = copy._block_extents = None
        return copy

    def preempt(self) -> list[int]:
        """Free all blocks and become empty; return the tokens, which must be computed again.

        Full blocks stay in the prefix cache until they are allocated to another sequence, so `match_prefix`
        may find many of them again.
        """
        token_ids, self.token_ids = self.token_ids, []
        self.close()
        self._hashes = self._hashes[:1]  # the root has the salt
        self._fork_points = set()
        return token_ids

    def close(self) -> None:
        """Free all blocks. Full blocks stay in the prefix cache."""
        self._pool.free(self._blocks)
        self._blocks = []
        self._block_extents = []

    def slots(self, start: int) -> list[int]:
        """Return the slots of the tokens from index `start` on."""
        size, blocks = self._block_size, self._blocks
        return [blocks[i // size] * size + i % size for i in range(start, len(self.token_ids))]

    def extents(self) -> list[Extent]:
        """Return the slots of all tokens, in order.

        Forks have identical extents for what they share, unless they were rolled back to before the fork.
        """
        if self._block_extents is None:
            self._block_extents = self._find_extents()
        extents, num_left, size = [], len(self.token_ids), self._block_size
        for block, num_blocks in self._block_extents:
            if num_left <= 0:
                break
            extents.append(Extent(block * size, block * size + min(num_left, num_blocks * size)))
            num_left -= num_blocks * size
        return extents

    def _find_extents(self) -> list[tuple[int, int]]:
        """Return the first block and the number of blocks of each extent; an extent ends at a fork point."""
        extents: list[tuple[int, int]] = []
        for index, block in enumerate(self._blocks):
            if extents and block == sum(extents[-1]) and index not in self._fork_points:
                extents[-1] = (extents[-1][0], extents[-1][1] + 1)
            else:
                extents.append((block, 1))
        return extents

    def _num_blocks_for(self, num_tokens: int) -> int:
        return -(-max(self._num_slots, len(self.token_ids) + num_tokens) // self._block_size)
