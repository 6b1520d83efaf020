"""Steps of a fixed size against steps of any size; recorded, where there is a CUDA device."""

from collections.abc import Sequence

import pytest
import torch

from incoder.inference.backends.cuda_graphs import FixedSizeStep
from incoder.inference.backends.eager_step import TokenStep
from incoder.inference.backends.step_inputs import StepInputs
from incoder.inference.cache.sequence import BlockSequence, Run
from incoder.inference.engine.runner import Chunk, Runner, _recordable
from incoder.model.transformer import Transformer


def read(runner: Runner, sequences: Sequence[BlockSequence], rows: Sequence[Sequence[int]]) -> torch.Tensor:
    chunks = [Chunk(sequence, row, 1) for sequence, row in zip(sequences, rows, strict=True)]
    return torch.cat(runner.run(chunks))


def read_each(
    runner: Runner, sequences: Sequence[BlockSequence], rows: Sequence[Sequence[int]]
) -> torch.Tensor:
    """The logits after each of the tokens."""
    chunks = [Chunk(sequence, row, len(row)) for sequence, row in zip(sequences, rows, strict=True)]
    return torch.cat(runner.run(chunks))


def runner_with_unwritten_memory(transformer: Transformer) -> Runner:
    """What was never written may be NaN."""
    runner = Runner(transformer)
    with torch.inference_mode():
        for tensor in [*runner._store.keys, *runner._store.values]:
            tensor.fill_(float("nan"))
    return runner


def in_a_fixed_size(
    transformer: Transformer,
    runner: Runner,
    sequences: Sequence[BlockSequence],
    new_ids: Sequence[Sequence[int]],
    *,
    num_slots: int,
) -> torch.Tensor:
    """The logits of eight rows, the first of which are the tokens that the sequences have read last."""
    inputs = StepInputs(num_rows=8, num_slots=num_slots, device=transformer.device)
    step = FixedSizeStep(TokenStep(transformer), runner._store, inputs)
    with torch.inference_mode():
        inputs.set(new_ids, [sequence.runs() for sequence in sequences])
        return step().float()


@pytest.mark.parametrize("lengths", [[5], [1, 40, 17], [33, 33, 33, 2]])
def test_a_step_of_a_fixed_size_gives_the_logits_of_one_that_fits(
    transformer: Transformer, lengths: list[int]
) -> None:
    """Rows of padding, slots of padding and memory that was never written make no difference."""
    runner = runner_with_unwritten_memory(transformer)
    sequences = [runner.open(64) for _ in lengths]
    read(runner, sequences, [[(7 * i) % 300 for i in range(length)] for length in lengths])
    sequences.append(sequences[-1].fork())
    new_ids = [[token_id] for token_id in range(20, 20 + len(sequences))]
    expected = read(runner, sequences, new_ids)
    found = in_a_fixed_size(transformer, runner, sequences, new_ids, num_slots=64)
    torch.testing.assert_close(found[: len(sequences)], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("new_ids", [[[8, 9, 10]], [[8], [1, 2, 3, 4]], [[3, 4], [5], [6, 7]]], ids=str)
def test_a_step_of_a_fixed_size_reads_several_tokens_of_a_sequence(
    transformer: Transformer, new_ids: list[list[int]]
) -> None:
    runner = runner_with_unwritten_memory(transformer)
    sequences = [runner.open(64) for _ in new_ids]
    read(runner, sequences, [[(7 * i) % 300 for i in range(5 + 30 * row)] for row in range(len(new_ids))])
    expected = read_each(runner, sequences, new_ids)
    found = in_a_fixed_size(transformer, runner, sequences, new_ids, num_slots=128)
    torch.testing.assert_close(found[: len(expected)], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recorded_step_gives_the_logits_of_one_that_is_not(transformer: Transformer) -> None:
    recorded, launched = Runner(transformer), Runner(transformer)
    launched._graphed = None
    pairs = [[runner.open(40) for _ in range(3)] for runner in (recorded, launched)]
    rows = [[1, 2, 3], [4], [5, 6, 7, 8, 9]]
    for token_id in range(10, 30):
        found, expected = (
            read(runner, own, rows) for runner, own in zip((recorded, launched), pairs, strict=True)
        )
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
        rows = [[token_id], [token_id + 1], [token_id + 2]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recorded_step_reads_what_was_guessed_and_forgets_it_again(transformer: Transformer) -> None:
    recorded, launched = Runner(transformer), Runner(transformer)
    launched._graphed = None
    pairs = [[runner.open(60) for _ in range(2)] for runner in (recorded, launched)]
    for runner, own in zip((recorded, launched), pairs, strict=True):
        read(runner, own, [[1, 2, 3], [5, 6, 7, 8, 9] * 3])
    for token_id in range(10, 30):
        guess = list(range(token_id, token_id + 1 + token_id % 8))
        for rows in ([guess], [[token_id], guess[::-1]]):
            found, expected = (
                read_each(runner, own[-len(rows) :], rows)
                for runner, own in zip((recorded, launched), pairs, strict=True)
            )
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
            for own in pairs:
                own[1].truncate(len(own[1]) - token_id % 8)
    assert recorded._graphed is not None
    assert len(recorded._graphed._recorded) > 3


def test_single_tokens_are_recorded_and_several_while_they_are_few(transformer: Transformer) -> None:
    def recordable(*lengths: int) -> list[int]:
        sequence = Runner(transformer).open(64)
        return _recordable([Chunk(sequence, [1] * length, 1) for length in lengths])

    assert recordable(*[1] * 100) == list(range(100))
    assert recordable(8, 1, 8, 1) == [0, 1, 2, 3]
    assert recordable(8, 1, 9, 1) == [0, 1, 3]
    assert recordable(512, 1, 3) == [1, 2]


class ReplayedByHand:
    """Recorded steps as the runner calls them, with nothing recorded, so that a CPU can take them."""

    def __init__(self, runner: Runner, transformer: Transformer) -> None:
        self._runner, self._transformer = runner, transformer
        self.num_rows: list[int] = []

    def __call__(self, new_ids: Sequence[Sequence[int]], runs: Sequence[Sequence[Run]]) -> torch.Tensor:
        self.num_rows.append(sum(map(len, new_ids)))
        inputs = StepInputs(self.num_rows[-1], 128, self._transformer.device)
        inputs.set(new_ids, runs)
        return FixedSizeStep(TokenStep(self._transformer), self._runner._store, inputs)()


def test_a_step_is_divided_between_what_is_recorded_and_what_is_not(transformer: Transformer) -> None:
    """Long prompts are read beside single tokens, and of a few tokens the logits after the last are given."""
    divided, whole = Runner(transformer), Runner(transformer)
    by_hand = ReplayedByHand(divided, transformer)
    divided._graphed = by_hand  # type: ignore[assignment]
    whole._graphed = None
    pairs = [[runner.open(100) for _ in range(4)] for runner in (divided, whole)]
    steps: list[list[list[int]]] = [
        [list(range(3, 40)), [7], [8, 9, 10], list(range(50, 90))],
        [[5], list(range(9, 49)), [6], [1, 2]],
        [[5], [6], [7], [8]],
    ]
    for rows in steps:
        found, expected = (
            read(runner, own, rows) for runner, own in zip((divided, whole), pairs, strict=True)
        )
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert by_hand.num_rows == [4, 4, 4]
