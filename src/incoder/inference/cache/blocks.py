"""The blocks of the key/value cache, as numbers: which are free, how many share each, what is in them.

A block holds what `block_size` tokens left behind. Blocks in use are counted; those that nobody uses any more
keep their contents, under a hash of all tokens up to their end, until their place is needed: the longest
unused goes first. Places are given out in runs, because attention reads a run where it lies. Plain ints and
bytes; knows no tensors and no sequences.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import blake2b

Key = bytes

_EMPTY = -1  # when a block was last used that holds nothing


class OutOfBlocks(Exception):  # noqa: N818 - an event, which whoever owns the memory answers by growing
    """Fewer blocks are unused than were asked for."""


def chained_hash(key: Key, token_ids: Sequence[int]) -> Key:
    """The key of a block that holds these tokens, behind those that `key` stands for (b"" for none)."""
    return blake2b(key + array("q", token_ids).tobytes(), digest_size=16).digest()


class BlockPool:
    """Gives out blocks 0 … num_blocks - 1 and takes them back."""

    def __init__(self, num_blocks: int) -> None:
        self._num_users: list[int] = []
        self._last_used: list[int] = []
        self._keys: list[Key | None] = []
        self._parents: list[Key | None] = []
        self._block_with: dict[Key, int] = {}
        self._clock = 0
        self._num_unused = 0
        self.resize(num_blocks)

    @property
    def num_blocks(self) -> int:
        return len(self._num_users)

    @property
    def num_unused(self) -> int:
        """Blocks that can be taken, those with contents that someone may still want among them."""
        return self._num_unused

    def num_users(self, block: int) -> int:
        return self._num_users[block]

    def take(self, num_blocks: int, after: int | None = None) -> list[int]:
        """Blocks for new contents, used once each; as far as possible in one run, right behind `after`.

        Behind `after`, a block with contents is overwritten where they continued those of `after`: that is
        what was there before someone typed on. Elsewhere the run is taken whose contents were not used for
        longest, and only where no run is long enough single blocks are.

        Raises:
            OutOfBlocks: too few are unused; nothing was taken.
        """
        if num_blocks > self._num_unused:
            raise OutOfBlocks
        blocks = self._use(self._behind(after, num_blocks) if after is not None else [])
        num_left = num_blocks - len(blocks)
        if num_left:
            blocks += self._use(self._oldest_run(num_left) or self._oldest(num_left))
        return blocks

    def share(self, blocks: Iterable[int]) -> None:
        """One more user for each of these blocks, whether or not they have one."""
        for block in blocks:
            self._num_unused -= self._num_users[block] == 0
            self._num_users[block] += 1

    def release(self, blocks: Sequence[int]) -> None:
        """One user less. The blocks are in the order of the text: its end is forgotten before its start."""
        for block in reversed(blocks):
            assert self._num_users[block] > 0
            self._num_users[block] -= 1
            if self._num_users[block] == 0:
                self._num_unused += 1
                self._clock += 1
                self._last_used[block] = _EMPTY if self._keys[block] is None else self._clock

    def remember(self, block: int, key: Key, parent: Key) -> None:
        """A block in use holds what `key` stands for; where another block does, that one stays known."""
        assert self._num_users[block] > 0
        if key not in self._block_with:
            self._block_with[key] = block
            self._keys[block], self._parents[block] = key, parent

    def forget(self, block: int) -> None:
        """The contents of this block are no longer what they were."""
        key = self._keys[block]
        if key is not None:
            del self._block_with[key]
            self._keys[block] = self._parents[block] = None

    def find(self, keys: Iterable[Key]) -> list[int]:
        """The blocks with these contents, up to the first that is nowhere. `share` them before taking any."""
        found = []
        for key in keys:
            block = self._block_with.get(key)
            if block is None:
                break
            found.append(block)
        return found

    def resize(self, num_blocks: int) -> None:
        """Have more blocks, or fewer where those at the end are unused."""
        for block in range(num_blocks, self.num_blocks):
            assert self._num_users[block] == 0
            self.forget(block)
        self._num_unused += num_blocks - self.num_blocks
        num_new = max(0, num_blocks - self.num_blocks)
        nothing: list[Key | None] = [None] * num_new
        self._num_users = self._num_users[:num_blocks] + [0] * num_new
        self._last_used = self._last_used[:num_blocks] + [_EMPTY] * num_new
        self._keys = self._keys[:num_blocks] + nothing
        self._parents = self._parents[:num_blocks] + nothing

    def num_needed(self) -> int:
        """The number of blocks without the unused ones at the end."""
        return next((block + 1 for block in reversed(range(self.num_blocks)) if self._num_users[block]), 0)

    def _use(self, blocks: list[int]) -> list[int]:
        for block in blocks:
            assert self._num_users[block] == 0
            self.forget(block)
            self._num_users[block] = 1
        self._num_unused -= len(blocks)
        return blocks

    def _behind(self, after: int, num_blocks: int) -> list[int]:
        """The unused blocks right behind this one that are empty or hold what once continued it."""
        blocks: list[int] = []
        key = self._keys[after]
        for block in range(after + 1, min(after + 1 + num_blocks, self.num_blocks)):
            is_empty = self._keys[block] is None
            if self._num_users[block] or not (is_empty or (key is not None and self._parents[block] == key)):
                break
            key = self._keys[block]
            blocks.append(block)
        return blocks

    def _oldest_run(self, num_blocks: int) -> list[int]:
        """The run of unused blocks of which the one used last was used first; none where there is no run."""
        best_start, best_age = -1, self._clock + 1
        newest: deque[int] = deque()  # of the run that ends here: candidates for its newest, falling in age
        start = 0
        for block in range(self.num_blocks):
            if self._num_users[block]:
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

    def _oldest(self, num_blocks: int) -> list[int]:
        unused = [block for block in range(self.num_blocks) if self._num_users[block] == 0]
        return sorted(sorted(unused, key=self._last_used.__getitem__)[:num_blocks])
