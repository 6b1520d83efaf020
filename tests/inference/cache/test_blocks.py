"""The pool against a memory that is written and read: nobody's contents change under their hands."""

from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from incoder.inference.cache.blocks import BlockPool, Key, OutOfBlocks, chained_hash

NUM_BLOCKS = 12


@dataclass
class User:
    blocks: list[int]
    keys: list[Key] = field(default_factory=list)


class PoolMachine(RuleBasedStateMachine):
    """Users who take blocks, write texts of few letters into them, share them and leave."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(NUM_BLOCKS)
        self.memory: dict[int, Key] = {}
        self.users: list[User] = []

    @rule(letters=st.lists(st.integers(0, 2), min_size=1, max_size=5))
    def write_a_text(self, letters: list[int]) -> None:
        keys = [chained_hash(b"", letters[:1])]
        for letter in letters[1:]:
            keys.append(chained_hash(keys[-1], [letter]))
        found = self.pool.find(keys)
        assert [self.memory[block] for block in found] == keys[: len(found)]
        self.pool.share(found)
        try:
            new = self.pool.take(len(keys) - len(found), after=found[-1] if found else None)
        except OutOfBlocks:
            assert self.pool.num_unused < len(keys) - len(found)
            self.pool.release(found)
            return
        in_use = {block for user in self.users for block in user.blocks} | set(found)
        assert len(set(new)) == len(new)
        assert not in_use & set(new)
        parents = [b"", *keys]
        for index, block in enumerate(new, start=len(found)):
            self.memory[block] = keys[index]
            self.pool.remember(block, keys[index], parents[index])
        self.users.append(User(found + new, keys))

    @precondition(lambda self: self.users)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        user = self.users.pop(data.draw(st.integers(0, len(self.users) - 1)))
        self.pool.release(user.blocks)

    @precondition(lambda self: self.users)
    @rule(data=st.data(), letter=st.integers(3, 5))
    def write_over_the_end(self, data: st.DataObject, letter: int) -> None:
        user = self.users[data.draw(st.integers(0, len(self.users) - 1))]
        block = user.blocks[-1]
        if self.pool.num_users(block) == 1:
            self.pool.forget(block)
            parent = user.keys[-2] if len(user.keys) > 1 else b""
            user.keys[-1] = self.memory[block] = chained_hash(parent, [letter])
            self.pool.remember(block, user.keys[-1], parent)

    @rule(num_blocks=st.integers(NUM_BLOCKS // 2, 2 * NUM_BLOCKS))
    def resize(self, num_blocks: int) -> None:
        self.pool.resize(max(num_blocks, self.pool.num_needed()))

    @invariant()
    def every_user_reads_what_was_written(self) -> None:
        for user in self.users:
            assert [self.memory[block] for block in user.blocks] == user.keys

    @invariant()
    def users_are_counted(self) -> None:
        in_use = [block for user in self.users for block in user.blocks]
        counts = [self.pool.num_users(block) for block in range(self.pool.num_blocks)]
        assert counts == [in_use.count(block) for block in range(self.pool.num_blocks)]
        assert self.pool.num_unused == counts.count(0)


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=60, stateful_step_count=25)


def written(pool: BlockPool, letters: str, after: int | None = None) -> tuple[list[int], list[Key]]:
    """Blocks with one letter each, and their keys."""
    blocks, keys = pool.take(len(letters), after), [b""]
    for block, letter in zip(blocks, letters, strict=True):
        keys.append(chained_hash(keys[-1], [ord(letter)]))
        pool.remember(block, keys[-1], keys[-2])
    return blocks, keys[1:]


def test_blocks_come_in_runs() -> None:
    assert BlockPool(8).take(5) == [0, 1, 2, 3, 4]


def test_a_run_is_found_between_blocks_in_use() -> None:
    pool = BlockPool(8)
    blocks = pool.take(8)
    pool.release([blocks[1], *blocks[3:6]])
    assert pool.take(3) == [3, 4, 5]


def test_without_a_long_run_single_blocks_serve() -> None:
    pool = BlockPool(6)
    blocks = pool.take(6)
    pool.release(blocks[::2])
    assert pool.take(3) == [0, 2, 4]


def test_what_was_released_is_found_by_its_contents() -> None:
    pool = BlockPool(8)
    blocks, keys = written(pool, "abc")
    pool.release(blocks)
    assert pool.num_unused == 8
    assert pool.find([*keys[:2], chained_hash(keys[1], [0])]) == blocks[:2]


def test_the_longest_unused_contents_go_first_and_ends_before_starts() -> None:
    pool = BlockPool(4)
    old, old_keys = written(pool, "ab")
    new, new_keys = written(pool, "xy")
    pool.release(old)
    pool.release(new)
    pool.take(1)
    assert len(pool.find(old_keys)) == 1
    pool.take(1)
    assert pool.find(old_keys) == []
    assert pool.find(new_keys) == new


def test_empty_blocks_are_taken_before_contents_are_lost() -> None:
    pool = BlockPool(4)
    blocks, keys = written(pool, "ab")
    pool.release(blocks)
    pool.take(2)
    assert pool.find(keys) == blocks


def test_a_new_end_is_written_over_the_old_end() -> None:
    """A keystroke: the same start, another end. In place, so that the row stays one run."""
    pool = BlockPool(8)
    blocks, keys = written(pool, "abcd")
    pool.release(blocks)
    found = pool.find(keys[:2])
    pool.share(found)
    assert pool.take(2, after=found[-1]) == blocks[2:]


def test_another_texts_start_is_not_written_over() -> None:
    pool = BlockPool(8)
    one, keys = written(pool, "ab")
    other, other_keys = written(pool, "xy")
    pool.release(other)
    assert pool.take(2, after=one[-1]) == [4, 5]
    assert pool.find(other_keys) == other
    assert keys


def test_the_same_contents_twice_are_remembered_once() -> None:
    pool = BlockPool(4)
    first, keys = written(pool, "a")
    second, _ = written(pool, "a")
    pool.release(second)
    assert pool.find(keys) == first


def test_taking_too_many_takes_none() -> None:
    pool = BlockPool(4)
    pool.take(2)
    with pytest.raises(OutOfBlocks):
        pool.take(3)
    assert pool.num_unused == 2
