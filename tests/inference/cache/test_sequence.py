"""Sequences over a pool against the plain truth: a memory in which each slot holds what was read up to it."""

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from incoder.inference.cache.blocks import BlockPool, OutOfBlocks
from incoder.inference.cache.sequence import BlockSequence, Extent

SIZE = 3
TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=3 * SIZE)


class Row:
    def __init__(self, sequence: BlockSequence) -> None:
        self.sequence = sequence
        self.token_ids: list[int] = []


class SequenceMachine(RuleBasedStateMachine):
    """Rows that read, roll back, fork and end; each slot of the memory knows which text ends in it."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(14)
        self.memory: dict[int, tuple[int, ...]] = {}
        self.rows: list[Row] = []

    def read(self, row: Row, token_ids: list[int]) -> None:
        start = len(row.sequence)
        num_blocks, num_free = row.sequence.num_blocks_needed(len(token_ids)), self.pool.num_free
        try:
            copy = row.sequence.append(token_ids)
        except OutOfBlocks:
            assert num_blocks > num_free
            assert len(row.sequence) == start
            return
        assert num_blocks <= num_free
        if copy:
            for offset in range(SIZE):
                self.memory[copy[1] * SIZE + offset] = self.memory.get(copy[0] * SIZE + offset, ())
        for offset, slot in enumerate(row.sequence.slots(start)):
            row.token_ids.append(token_ids[offset])
            self.memory[slot] = tuple(row.token_ids)
        row.sequence.cache_full_blocks()

    @rule(token_ids=TOKENS, num_slots=st.integers(1, 4 * SIZE))
    def open(self, token_ids: list[int], num_slots: int) -> None:
        row = Row(BlockSequence(self.pool, SIZE, num_slots))
        num_matched = row.sequence.match_prefix(token_ids)
        assert num_matched < len(token_ids)
        row.token_ids = token_ids[:num_matched]
        self.rows.append(row)
        self.read(row, token_ids[num_matched:])

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), token_ids=TOKENS)
    def read_on(self, data: st.DataObject, token_ids: list[int]) -> None:
        self.read(data.draw(st.sampled_from(self.rows)), token_ids)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.rows))
        num_left = data.draw(st.integers(0, len(row.token_ids)))
        row.sequence.rollback(len(row.sequence) - num_left)
        del row.token_ids[num_left:]

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.rows))
        copy = Row(row.sequence.fork())
        copy.token_ids = list(row.token_ids)
        self.rows.append(copy)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.rows))
        self.rows.remove(row)
        row.sequence.close()

    @invariant()
    def every_slot_of_a_row_holds_the_row(self) -> None:
        for row in self.rows:
            assert row.sequence.token_ids == row.token_ids
            slots = row.sequence.slots(0)
            assert [slot for extent in row.sequence.extents() for slot in range(*extent)] == slots
            for end, slot in enumerate(slots, start=1):
                assert self.memory[slot] == tuple(row.token_ids[:end])

    def teardown(self) -> None:
        for row in self.rows:
            row.sequence.close()
        assert self.pool.num_free == self.pool.num_blocks


TestSequences = SequenceMachine.TestCase
TestSequences.settings = settings(max_examples=60, stateful_step_count=20)


@pytest.fixture
def pool() -> BlockPool:
    return BlockPool(20)


def read(pool: BlockPool, token_ids: list[int], num_slots: int = 8 * SIZE) -> tuple[BlockSequence, int]:
    sequence = BlockSequence(pool, SIZE, num_slots)
    num_matched = sequence.match_prefix(token_ids)
    sequence.append(token_ids[num_matched:])
    sequence.cache_full_blocks()
    return sequence, num_matched


def test_a_lone_sequence_lies_in_one_run_to_its_end(pool: BlockPool) -> None:
    one, _ = read(pool, [1, 2, 3, 4])
    other, _ = read(pool, [5])
    for _ in range(15):
        one.append([7])
        other.append([8])
    assert one.extents() == [Extent(0, 19)]
    assert len(other.extents()) == 1


def test_the_next_keystroke_reads_only_what_is_new_and_stays_in_one_run(pool: BlockPool) -> None:
    first, _ = read(pool, [1, 2, 3, 4, 5, 6, 7])
    first.append([8, 9, 9, 9])
    first.cache_full_blocks()
    first.close()
    second, num_matched = read(pool, [1, 2, 3, 4, 5, 6, 7, 7])
    assert num_matched == 6
    assert second.extents() == [Extent(0, 8)]


def test_what_is_read_at_the_same_time_is_shared(pool: BlockPool) -> None:
    first, _ = read(pool, [1, 2, 3, 4, 5, 6, 7])
    second, num_matched = read(pool, [1, 2, 3, 4, 5, 6, 8])
    assert num_matched == 6
    assert second.slots(0)[:6] == first.slots(0)[:6]
    assert second.slots(0)[6] != first.slots(0)[6]


def test_blocks_of_others_are_shared_and_cached_ones_that_nobody_uses_are_taken(pool: BlockPool) -> None:
    first, _ = read(pool, [1, 2, 3, 4, 5, 6, 7])
    second = BlockSequence(pool, SIZE, 8 * SIZE)
    assert second.num_blocks_shared([1, 2, 3, 4, 5, 6, 8]) == 2
    assert second.num_blocks_shared([1, 2, 3, 4, 5, 6]) == 1  # the last token is computed
    first.close()
    assert second.num_blocks_shared([1, 2, 3, 4, 5, 6, 8]) == 0


def test_a_preempted_sequence_finds_what_is_left_of_it(pool: BlockPool) -> None:
    first, _ = read(pool, [1, 2, 3, 4, 5, 6, 7])
    token_ids = first.preempt()
    assert (token_ids, len(first), pool.num_free) == ([1, 2, 3, 4, 5, 6, 7], 0, pool.num_blocks)
    assert first.match_prefix([*token_ids, 8]) == 6
    assert first.append([7, 8]) is None
    assert first.extents() == [Extent(0, 8)]


def test_copies_have_what_they_share_as_runs_in_common(pool: BlockPool) -> None:
    first, _ = read(pool, [1, 2, 3, 4, 5, 6, 7], num_slots=9)
    rows = [first, first.fork(), first.fork()]
    for row in reversed(rows):
        row.append([9])
    assert {row.extents()[0] for row in rows} == {Extent(0, 6)}
    assert len({row.extents()[1] for row in rows}) == 3


def test_the_last_to_write_needs_no_copy(pool: BlockPool) -> None:
    first, _ = read(pool, [1, 2, 3, 4], num_slots=6)
    rows = [first, first.fork(), first.fork()]
    assert [row.append([9]) is not None for row in reversed(rows)] == [True, True, False]


def test_a_row_does_not_share_what_it_takes_back_and_writes_over(pool: BlockPool) -> None:
    token_ids = list(range(10))
    first, _ = read(pool, token_ids, num_slots=12)
    first.rollback(len(first) - 4)
    second, num_matched = read(pool, token_ids, num_slots=12)
    assert num_matched == 6  # the second block still holds all that it did
    first.append([7, 7, 7])
    assert not set(first.slots(3)) & set(second.slots(0))


def test_what_a_row_takes_back_and_writes_over_is_found_as_it_is(pool: BlockPool) -> None:
    first, _ = read(pool, [1, 2, 3, 4, 5, 6, 7], num_slots=9)
    first.rollback(len(first) - 4)
    first.append([8, 8, 8])
    first.cache_full_blocks()
    _, num_matched = read(pool, [1, 2, 3, 4, 5, 6, 7], num_slots=9)
    assert num_matched == 3
    _, num_matched = read(pool, [1, 2, 3, 4, 8, 8, 7], num_slots=9)
    assert num_matched == 6
