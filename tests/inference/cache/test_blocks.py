"""The pool against a memory that is written and read: nobody's contents change under their hands."""

from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from incoder.inference.cache.blocks import BlockHash, BlockPool, OutOfBlocks, chained_hash

NUM_BLOCKS = 12


@dataclass
class User:
    blocks: list[int]
    hashes: list[BlockHash] = field(default_factory=list)


class PoolMachine(RuleBasedStateMachine):
    """Users who take blocks, write texts of few letters into them, share them and leave."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(NUM_BLOCKS)
        self.memory: dict[int, BlockHash] = {}
        self.users: list[User] = []

    @rule(letters=st.lists(st.integers(0, 2), min_size=1, max_size=5))
    def write_a_text(self, letters: list[int]) -> None:
        hashes = [chained_hash(b"", letters[:1])]
        for letter in letters[1:]:
            hashes.append(chained_hash(hashes[-1], [letter]))
        found = self.pool.lookup(hashes)
        assert [self.memory[block] for block in found] == hashes[: len(found)]
        self.pool.incref(found)
        try:
            new = self.pool.allocate(len(hashes) - len(found), after=found[-1] if found else None)
        except OutOfBlocks:
            assert self.pool.num_free < len(hashes) - len(found)
            self.pool.free(found)
            return
        in_use = {block for user in self.users for block in user.blocks} | set(found)
        assert len(set(new)) == len(new)
        assert not in_use & set(new)
        parents = [b"", *hashes]
        for index, block in enumerate(new, start=len(found)):
            self.memory[block] = hashes[index]
            self.pool.cache(block, hashes[index], parents[index])
        self.users.append(User(found + new, hashes))

    @precondition(lambda self: self.users)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        user = self.users.pop(data.draw(st.integers(0, len(self.users) - 1)))
        self.pool.free(user.blocks)

    @precondition(lambda self: self.users)
    @rule(data=st.data(), letter=st.integers(3, 5))
    def write_over_the_end(self, data: st.DataObject, letter: int) -> None:
        user = self.users[data.draw(st.integers(0, len(self.users) - 1))]
        block = user.blocks[-1]
        if self.pool.ref_count(block) == 1:
            self.pool.evict(block)
            parent = user.hashes[-2] if len(user.hashes) > 1 else b""
            user.hashes[-1] = self.memory[block] = chained_hash(parent, [letter])
            self.pool.cache(block, user.hashes[-1], parent)

    @rule(num_blocks=st.integers(NUM_BLOCKS // 2, 2 * NUM_BLOCKS))
    def resize(self, num_blocks: int) -> None:
        self.pool.resize(max(num_blocks, self.pool.smallest_size()))

    @invariant()
    def every_user_reads_what_was_written(self) -> None:
        for user in self.users:
            assert [self.memory[block] for block in user.blocks] == user.hashes

    @invariant()
    def users_are_counted(self) -> None:
        in_use = [block for user in self.users for block in user.blocks]
        counts = [self.pool.ref_count(block) for block in range(self.pool.num_blocks)]
        assert counts == [in_use.count(block) for block in range(self.pool.num_blocks)]
        assert self.pool.num_free == counts.count(0)


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=60, stateful_step_count=25)


def written(pool: BlockPool, letters: str, after: int | None = None) -> tuple[list[int], list[BlockHash]]:
    """Blocks with one letter each, and their hashes."""
    blocks, hashes = pool.allocate(len(letters), after), [b""]
    for block, letter in zip(blocks, letters, strict=True):
        hashes.append(chained_hash(hashes[-1], [ord(letter)]))
        pool.cache(block, hashes[-1], hashes[-2])
    return blocks, hashes[1:]


def test_blocks_come_in_runs() -> None:
    assert BlockPool(8).allocate(5) == [0, 1, 2, 3, 4]


def test_a_run_is_found_between_blocks_in_use() -> None:
    pool = BlockPool(8)
    blocks = pool.allocate(8)
    pool.free([blocks[1], *blocks[3:6]])
    assert pool.allocate(3) == [3, 4, 5]


def test_without_a_long_run_single_blocks_serve() -> None:
    pool = BlockPool(6)
    blocks = pool.allocate(6)
    pool.free(blocks[::2])
    assert pool.allocate(3) == [0, 2, 4]


def test_what_was_released_is_found_by_its_contents() -> None:
    pool = BlockPool(8)
    blocks, hashes = written(pool, "abc")
    pool.free(blocks)
    assert pool.num_free == 8
    assert pool.lookup([*hashes[:2], chained_hash(hashes[1], [0])]) == blocks[:2]


def test_the_longest_unused_contents_go_first_and_ends_before_starts() -> None:
    pool = BlockPool(4)
    old, old_hashes = written(pool, "ab")
    new, new_hashes = written(pool, "xy")
    pool.free(old)
    pool.free(new)
    pool.allocate(1)
    assert len(pool.lookup(old_hashes)) == 1
    pool.allocate(1)
    assert pool.lookup(old_hashes) == []
    assert pool.lookup(new_hashes) == new


def test_empty_blocks_are_taken_before_contents_are_lost() -> None:
    pool = BlockPool(4)
    blocks, hashes = written(pool, "ab")
    pool.free(blocks)
    pool.allocate(2)
    assert pool.lookup(hashes) == blocks


def test_a_new_end_is_written_over_the_old_end() -> None:
    """A keystroke: the same start, another end. In place, so that the row stays one run."""
    pool = BlockPool(8)
    blocks, hashes = written(pool, "abcd")
    pool.free(blocks)
    found = pool.lookup(hashes[:2])
    pool.incref(found)
    assert pool.allocate(2, after=found[-1]) == blocks[2:]


def test_another_texts_start_is_not_written_over() -> None:
    pool = BlockPool(8)
    one, hashes = written(pool, "ab")
    other, other_hashes = written(pool, "xy")
    pool.free(other)
    assert pool.allocate(2, after=one[-1]) == [4, 5]
    assert pool.lookup(other_hashes) == other
    assert hashes


def test_the_same_contents_twice_are_remembered_once() -> None:
    pool = BlockPool(4)
    first, hashes = written(pool, "a")
    second, _ = written(pool, "a")
    pool.free(second)
    assert pool.lookup(hashes) == first


def test_taking_too_many_takes_none() -> None:
    pool = BlockPool(4)
    pool.allocate(2)
    with pytest.raises(OutOfBlocks):
        pool.allocate(3)
    assert pool.num_free == 2
