"""The block pool of the key/value cache: reference counts, prefix cache and LRU eviction, in plain ints.

A block holds the keys and values of `block_size` tokens. Each block in use has a reference count. A freed
block keeps its contents in the prefix cache, under a chained hash of all tokens up to its end, until the
block is allocated again; the least recently used go first. Blocks are allocated in extents (contiguous
blocks) where possible, because attention reads an extent in place. Knows neither tensors nor sequences.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import blake2b

BlockHash = bytes

_EMPTY = -1  # the time of last use of a block without cached contents: allocated before all others


class OutOfBlocks(Exception):  # noqa: N818 - an event: the owner of the memory grows it or lets others finish
    """Too few blocks are free for an allocation."""


def root_hash(salt: str) -> BlockHash:
    """Return the hash before a sequence's first block: sequences with different salts share no block.

    >>> root_hash(""), root_hash("a tenant") == root_hash("another")
    (b'', False)
    """
    return blake2b(salt.encode("utf-8", "surrogateescape"), digest_size=16).digest() if salt else b""


def chained_hash(parent: BlockHash, token_ids: Sequence[int]) -> BlockHash:
    """Return the hash of a block of these tokens after the block with the hash `parent` (b"" at the start).

    >>> first = chained_hash(b"", [1, 2])
    >>> chained_hash(first, [3, 4]) == chained_hash(b"", [3, 4])
    False
    """
    return blake2b(parent + array("q", token_ids).tobytes(), digest_size=16).digest()


class BlockPool:
    """Allocates the blocks 0 … num_blocks - 1.

    >>> pool = BlockPool(num_blocks=4)
    >>> pool.allocate(3)
    [0, 1, 2]
    >>> pool.free([0, 1, 2])
    >>> pool.num_free
    4
    """

    def __init__(self, num_blocks: int) -> None:
        self._ref_counts: list[int] = []
        self._last_used: list[int] = []
        self._hashes: list[BlockHash | None] = []
        self._parents: list[BlockHash | None] = []
        self._block_with: dict[BlockHash, int] = {}
        self._clock = 0
        self._num_free = 0
        self.resize(num_blocks)

    @property
    def num_blocks(self) -> int:
        return len(self._ref_counts)

    @property
    def num_free(self) -> int:
        """The number of blocks that can be allocated. Some of them may hold cached contents."""
        return self._num_free

    def ref_count(self, block: int) -> int:
        """Return the number of sequences that use this block."""
        return self._ref_counts[block]

    def allocate(self, num_blocks: int, after: int | None = None) -> list[int]:
        """Return blocks with a reference count of one; as far as possible one extent that continues `after`.

        The blocks directly after `after` are reused if their cached contents continued the contents of
        `after`: an edit has replaced them. Otherwise the least recently used extent is allocated, or single
        blocks if no extent is long enough.

        Raises:
            OutOfBlocks: too few blocks are free; nothing was allocated.
        """
        if num_blocks > self._num_free:
            raise OutOfBlocks
        blocks = self._use(self._continuing(after, num_blocks) if after is not None else [])
        num_left = num_blocks - len(blocks)
        if num_left:
            blocks += self._use(self._lru_extent(num_left) or self._lru_blocks(num_left))
        return blocks

    def incref(self, blocks: Iterable[int]) -> None:
        """Add a reference to each of these blocks, which may be free."""
        for block in blocks:
            self._num_free -= self._ref_counts[block] == 0
            self._ref_counts[block] += 1

    def free(self, blocks: Sequence[int]) -> None:
        """Remove a reference from each of these blocks, which are in the order of the text.

        The end of a text is evicted before its start, because more texts share the start.
        """
        for block in reversed(blocks):
            assert self._ref_counts[block] > 0
            self._ref_counts[block] -= 1
            if self._ref_counts[block] == 0:
                self._num_free += 1
                self._clock += 1
                self._last_used[block] = _EMPTY if self._hashes[block] is None else self._clock

    def cache(self, block: int, block_hash: BlockHash, parent: BlockHash) -> None:
        """Enter a block in use into the prefix cache, unless another block has the same contents."""
        assert self._ref_counts[block] > 0
        if block_hash not in self._block_with:
            self._block_with[block_hash] = block
            self._hashes[block], self._parents[block] = block_hash, parent

    def evict(self, block: int) -> None:
        """Remove this block from the prefix cache: its contents are about to change."""
        block_hash = self._hashes[block]
        if block_hash is not None:
            del self._block_with[block_hash]
            self._hashes[block] = self._parents[block] = None

    def lookup(self, hashes: Iterable[BlockHash]) -> list[int]:
        """Return the cached blocks with these hashes, up to the first miss.

        Call `incref` on them before the next `allocate`, which may overwrite them.
        """
        found = []
        for block_hash in hashes:
            block = self._block_with.get(block_hash)
            if block is None:
                break
            found.append(block)
        return found

    def resize(self, num_blocks: int) -> None:
        """Add blocks at the end, or remove blocks from the end, which must be free."""
        for block in range(num_blocks, self.num_blocks):
            assert self._ref_counts[block] == 0
            self.evict(block)
        self._num_free += num_blocks - self.num_blocks
        num_new = max(0, num_blocks - self.num_blocks)
        nothing: list[BlockHash | None] = [None] * num_new
        self._ref_counts = self._ref_counts[:num_blocks] + [0] * num_new
        self._last_used = self._last_used[:num_blocks] + [_EMPTY] * num_new
        self._hashes = self._hashes[:num_blocks] + nothing
        self._parents = self._parents[:num_blocks] + nothing

    def smallest_size(self) -> int:
        """Return the smallest number that `resize` accepts: the last block in use and all before it."""
        return next((block + 1 for block in reversed(range(self.num_blocks)) if self._ref_counts[block]), 0)

    def _use(self, blocks: list[int]) -> list[int]:
        for block in blocks:
            assert self._ref_counts[block] == 0
            self.evict(block)
            self._ref_counts[block] = 1
        self._num_free -= len(blocks)
        return blocks

    def _continuing(self, after: int, num_blocks: int) -> list[int]:
        """Return the free blocks right after this one that are empty or hold contents that continued it."""
        blocks: list[int] = []
        block_hash = self._hashes[after]
        for block in range(after + 1, min(after + 1 + num_blocks, self.num_blocks)):
            is_empty = self._hashes[block] is None
            continues = block_hash is not None and self._parents[block] == block_hash
            if self._ref_counts[block] or not (is_empty or continues):
                break
            block_hash = self._hashes[block]
            blocks.append(block)
        return blocks

    def _lru_extent(self, num_blocks: int) -> list[int]:
        """Return the free extent whose most recent use is oldest (LRU); empty if none is long enough.

        One pass over the blocks. `newest` holds the free blocks of the last `num_blocks` that may be the most
        recently used of an extent, in falling order of use (a sliding-window maximum).
        """
        best_start, best_age = -1, self._clock + 1
        newest: deque[int] = deque()
        start = 0
        for block in range(self.num_blocks):
            if self._ref_counts[block]:
                newest.clear()
                start = block + 1
                continue
            while newest and self._last_used[newest[-1]] <= self._last_used[block]:
                newest.pop()
            newest.append(block)
            first = block + 1 - num_blocks
            if first < start:
                continue
            while newest[0] < first:
                newest.popleft()
            age = self._last_used[newest[0]]
            if age < best_age:
                best_start, best_age = first, age
        return list(range(best_start, best_start + num_blocks)) if best_start >= 0 else []

    def _lru_blocks(self, num_blocks: int) -> list[int]:
        """Return the least recently used free blocks, in ascending order."""
        free = [block for block in range(self.num_blocks) if self._ref_counts[block] == 0]
        return sorted(sorted(free, key=self._last_used.__getitem__)[:num_blocks])
