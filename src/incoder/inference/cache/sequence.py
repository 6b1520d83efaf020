"""One sequence: the tokens that it has read, and the blocks of the cache in which they are.

Blocks are reserved for all that the sequence will ever read, in one run where there is one; full ones are
shared, by copies of the sequence and by later sequences that begin alike. Who writes into a shared block
copies it first. Plain ints; knows no tensors.
"""

from collections.abc import Sequence
from typing import NamedTuple

from incoder.inference.cache.blocks import BlockPool, Key, chained_hash


class Run(NamedTuple):
    """Slots of the cache that lie side by side: from `start` to before `end`."""

    start: int
    end: int


class BlockSequence:
    """Takes room for `num_slots` tokens when it first reads, in blocks of `block_size`; later more."""

    def __init__(self, pool: BlockPool, block_size: int, num_slots: int) -> None:
        self._pool = pool
        self._block_size = block_size
        self._num_slots = num_slots
        self._blocks: list[int] = []
        self._keys: list[Key] = [b""]  # [i] stands for the tokens of the first i blocks, all of them full
        self._seams: set[int] = set()  # the blocks, counted in here, from which on copies went their own way
        self._block_runs: list[tuple[int, int]] | None = []
        self.token_ids: list[int] = []

    def __len__(self) -> int:
        return len(self.token_ids)

    def adopt(self, token_ids: Sequence[int]) -> int:
        """Begin with what an earlier sequence has read of these tokens; how many that are.

        At least one token is left to read, since only reading gives logits.
        """
        assert not self.token_ids
        keys, size = [b""], self._block_size
        for start in range(0, len(token_ids) - size, size):
            keys.append(chained_hash(keys[-1], token_ids[start : start + size]))
        found = self._pool.find(keys[1:])
        self._pool.share(found)
        self._blocks = found
        self._keys = keys[: len(found) + 1]
        self.token_ids = list(token_ids[: len(found) * size])
        self._block_runs = None
        return len(self.token_ids)

    def num_to_take(self, num_tokens: int) -> int:
        """How many blocks `append` would take from the pool for so many tokens; for the first ones, all."""
        first = len(self.token_ids) // self._block_size
        num_copied = first < len(self._blocks) and self._pool.num_users(self._blocks[first]) > 1
        return max(0, self._num_blocks_for(num_tokens) - len(self._blocks)) + num_copied

    def append(self, token_ids: Sequence[int]) -> tuple[int, int] | None:
        """Have room for these tokens and count them as read; the blocks (from, to) to copy before that.

        Raises:
            OutOfBlocks: the pool has too few; nothing has changed.
        """
        start, size = len(self.token_ids), self._block_size
        first, copy = start // size, None
        missing = max(0, self._num_blocks_for(len(token_ids)) - len(self._blocks))
        if first < len(self._blocks) and self._pool.num_users(self._blocks[first]) > 1:
            # What was reserved behind a block that is shared stays behind its other user.
            new = self._pool.take(1 + missing, self._blocks[first - 1] if first else None)
            old = self._blocks[first]
            self._pool.release([old])
            self._blocks[first] = new.pop(0)
            copy = (old, self._blocks[first]) if start % size else None
            self._blocks += new
            self._block_runs = None
        elif missing:
            self._blocks += self._pool.take(missing, self._blocks[-1] if self._blocks else None)
            self._block_runs = None
        for block in self._blocks[first : -(-(start + len(token_ids)) // size)]:
            self._pool.forget(block)
        self.token_ids += token_ids
        return copy

    def remember(self) -> None:
        """What was appended is in the cache now: let others find the blocks that are full."""
        size = self._block_size
        for index in range(len(self._keys) - 1, len(self.token_ids) // size):
            parent = self._keys[-1]
            key = chained_hash(parent, self.token_ids[index * size : (index + 1) * size])
            self._keys.append(key)
            self._pool.remember(self._blocks[index], key, parent)

    def truncate(self, num_tokens: int) -> None:
        """Forget all but the first tokens."""
        assert 0 <= num_tokens <= len(self.token_ids)
        del self.token_ids[num_tokens:]
        del self._keys[num_tokens // self._block_size + 1 :]
        behind = self._blocks[-(-num_tokens // self._block_size) :]
        if any(self._pool.num_users(block) > 1 for block in behind):  # not ours to write into
            self._pool.release(behind)
            self._blocks = self._blocks[: len(self._blocks) - len(behind)]
            self._block_runs = None
        else:  # ours to write into: nobody may find what is in them and share it
            for block in behind:
                self._pool.forget(block)

    def fork(self) -> "BlockSequence":
        """A copy that shares all blocks that hold something."""
        twin = BlockSequence(self._pool, self._block_size, self._num_slots)
        twin.token_ids = list(self.token_ids)
        twin._blocks = self._blocks[: -(-len(self.token_ids) // self._block_size)]
        twin._keys = list(self._keys)
        self._pool.share(twin._blocks)
        self._seams.add(len(self.token_ids) // self._block_size)
        twin._seams = set(self._seams)
        self._block_runs = twin._block_runs = None
        return twin

    def close(self) -> None:
        """Give all blocks back. Others may find what was in them."""
        self._pool.release(self._blocks)
        self._blocks = []
        self._block_runs = []

    def slots(self, start: int) -> list[int]:
        """Where the tokens from `start` on are."""
        size, blocks = self._block_size, self._blocks
        return [blocks[i // size] * size + i % size for i in range(start, len(self.token_ids))]

    def runs(self) -> list[Run]:
        """Where all tokens are, in order. Copies have the runs of what they share in common."""
        if self._block_runs is None:
            self._block_runs = self._in_runs()
        runs, num_left, size = [], len(self.token_ids), self._block_size
        for block, num_blocks in self._block_runs:
            if num_left <= 0:
                break
            runs.append(Run(block * size, block * size + min(num_left, num_blocks * size)))
            num_left -= num_blocks * size
        return runs

    def _in_runs(self) -> list[tuple[int, int]]:
        """First block and number of blocks of every run."""
        runs: list[tuple[int, int]] = []
        for index, block in enumerate(self._blocks):
            if runs and block == sum(runs[-1]) and index not in self._seams:
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            else:
                runs.append((block, 1))
        return runs

    def _num_blocks_for(self, num_tokens: int) -> int:
        return -(-max(self._num_slots, len(self.token_ids) + num_tokens) // self._block_size)
