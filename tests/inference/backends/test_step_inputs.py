"""The inputs of steps of a fixed size."""

import torch

from incoder.inference.backends.step_inputs import StepInputs
from incoder.inference.cache.sequence import Extent


def test_missing_rows_repeat_the_first_and_missing_slots_their_own_first() -> None:
    inputs = StepInputs(num_rows=4, num_slots=6, device=torch.device("cpu"))
    inputs.set([[7], [8]], [[Extent(16, 18), Extent(3, 5)], [Extent(9, 10)]])
    assert inputs.token_ids_B.tolist() == [7, 8, 7, 7]
    assert inputs.positions_B.tolist() == [3, 0, 3, 3]
    assert inputs.num_before_B.tolist() == [0] * 4
    first, second = [16, 17, 3, 4, 16, 16], [9] * 6
    assert inputs.slots_BL.tolist() == [first, second, first, first]


def test_inputs_follow_sequences_that_grow_and_others_that_take_their_place() -> None:
    inputs = StepInputs(num_rows=1, num_slots=6, device=torch.device("cpu"))
    steps = [
        ([Extent(0, 2)], [0, 1, 0, 0, 0, 0]),
        ([Extent(0, 3)], [0, 1, 2, 0, 0, 0]),
        ([Extent(0, 3), Extent(8, 9)], [0, 1, 2, 8, 0, 0]),
        ([Extent(0, 3), Extent(8, 10)], [0, 1, 2, 8, 9, 0]),
        ([Extent(0, 2), Extent(8, 11)], [0, 1, 8, 9, 10, 0]),
        ([Extent(4, 6)], [4, 5, 4, 4, 4, 4]),
        ([Extent(4, 8)], [4, 5, 6, 7, 4, 4]),
    ]
    for extents, slots in steps:
        inputs.set([[1]], [extents])
        assert inputs.slots_BL.tolist() == [slots]
        assert inputs.positions_B.tolist() == [sum(end - start for start, end in extents) - 1]


def test_a_sequence_that_reads_several_tokens_has_a_row_for_each() -> None:
    inputs = StepInputs(num_rows=8, num_slots=6, device=torch.device("cpu"))
    inputs.set([[7, 8, 9], [5], [3, 4]], [[Extent(16, 18), Extent(3, 5)], [Extent(9, 10)], [Extent(20, 22)]])
    assert inputs.token_ids_B.tolist() == [7, 8, 9, 5, 3, 4, 7, 7]
    assert inputs.positions_B.tolist() == [1, 2, 3, 0, 0, 1, 1, 1]
    assert inputs.num_before_B.tolist() == [0, 1, 2, 0, 0, 1, 0, 0]
    first, third = [16, 17, 3, 4, 16, 16], [20, 21, *[20] * 4]
    assert inputs.slots_BL.tolist() == [first, first, first, [9] * 6, third, third, first, first]


def test_inputs_follow_sequences_that_roll_back_drafts() -> None:
    inputs = StepInputs(num_rows=2, num_slots=8, device=torch.device("cpu"))
    steps = [
        ([Extent(4, 6), Extent(10, 14)], [4, 5, 10, 11, 12, 13, 4, 4]),
        ([Extent(4, 6), Extent(10, 13)], [4, 5, 10, 11, 12, 4, 4, 4]),
        ([Extent(4, 6), Extent(10, 13)], [4, 5, 10, 11, 12, 4, 4, 4]),
        ([Extent(4, 6), Extent(10, 16)], [4, 5, 10, 11, 12, 13, 14, 15]),
        ([Extent(4, 6), Extent(10, 12)], [4, 5, 10, 11, 4, 4, 4, 4]),
        ([Extent(4, 5), Extent(10, 12)], [4, 10, 11, 4, 4, 4, 4, 4]),
    ]
    for extents, slots in steps:
        inputs.set([[1, 2]], [extents])
        assert inputs.slots_BL.tolist() == [slots, slots]
        num_tokens = sum(end - start for start, end in extents)
        assert inputs.positions_B.tolist() == [num_tokens - 2, num_tokens - 1]
