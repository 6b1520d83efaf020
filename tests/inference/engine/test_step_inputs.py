"""The inputs of steps of a fixed size."""

import torch

from incoder.inference.engine.sequence import Run
from incoder.inference.engine.step_inputs import StepInputs


def test_missing_rows_repeat_the_first_and_missing_slots_their_own_first() -> None:
    inputs = StepInputs(num_rows=4, num_slots=6, device=torch.device("cpu"))
    inputs.set([7, 8], [[Run(16, 18), Run(3, 5)], [Run(9, 10)]])
    assert inputs.token_ids_B.tolist() == [7, 8, 7, 7]
    assert inputs.positions_B.tolist() == [3, 0, 3, 3]
    first, second = [16, 17, 3, 4, 16, 16], [9] * 6
    assert inputs.slots_BL.tolist() == [first, second, first, first]


def test_inputs_follow_sequences_that_grow_and_others_that_take_their_place() -> None:
    inputs = StepInputs(num_rows=1, num_slots=6, device=torch.device("cpu"))
    steps = [
        ([Run(0, 2)], [0, 1, 0, 0, 0, 0]),
        ([Run(0, 3)], [0, 1, 2, 0, 0, 0]),
        ([Run(0, 3), Run(8, 9)], [0, 1, 2, 8, 0, 0]),
        ([Run(0, 3), Run(8, 10)], [0, 1, 2, 8, 9, 0]),
        ([Run(0, 2), Run(8, 11)], [0, 1, 8, 9, 10, 0]),
        ([Run(4, 6)], [4, 5, 4, 4, 4, 4]),
        ([Run(4, 8)], [4, 5, 6, 7, 4, 4]),
    ]
    for runs, slots in steps:
        inputs.set([1], [runs])
        assert inputs.slots_BL.tolist() == [slots]
        assert inputs.positions_B.tolist() == [sum(end - start for start, end in runs) - 1]
