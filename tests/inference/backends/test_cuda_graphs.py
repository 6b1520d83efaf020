"""Steps of a fixed size against eager steps; captured as graphs if there is a CUDA device."""

from collections.abc import Sequence

import pytest
import torch

from incoder.inference.backends.backend import Chunk
from incoder.inference.backends.cuda_graphs import (
    Capture,
    EagerGraphs,
    FixedSizeStep,
    GraphPool,
    Step,
    chunks_for_graph,
)
from incoder.inference.backends.eager_step import EagerBackend, EagerStep
from incoder.inference.backends.layers import ModelLayers, read_layers
from incoder.inference.backends.numba_step import NumbaBackend
from incoder.inference.backends.step_inputs import StepInputs
from incoder.inference.cache.kv_cache import KVCache
from incoder.inference.cache.sequence import BlockSequence
from incoder.inference.engine.runner import BLOCK_SIZE, Runner
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
    """Memory that was never written may be NaN."""
    runner = Runner(transformer)
    with torch.inference_mode():
        for tensor in [*runner.cache.keys, *runner.cache.values]:
            tensor.fill_(float("nan"))
    return runner


def eager_runner(transformer: Transformer) -> Runner:
    return Runner(transformer, backends=[NumbaBackend, EagerBackend])


def in_a_fixed_size(
    transformer: Transformer,
    runner: Runner,
    sequences: Sequence[BlockSequence],
    new_ids: Sequence[Sequence[int]],
    *,
    num_slots: int,
) -> torch.Tensor:
    """The logits of eight rows, the first of which are the last tokens of the sequences."""
    inputs = StepInputs(num_rows=8, num_slots=num_slots, device=transformer.device)
    step = FixedSizeStep(EagerStep(read_layers(transformer)), runner.cache, inputs)
    with torch.inference_mode():
        inputs.set(new_ids, [sequence.extents() for sequence in sequences])
        return step().float()


@pytest.mark.parametrize("lengths", [[5], [1, 40, 17], [33, 33, 33, 2]])
def test_a_step_of_a_fixed_size_gives_the_logits_of_one_that_fits(
    transformer: Transformer, lengths: list[int]
) -> None:
    """Padding rows, padding slots and memory that was never written make no difference."""
    runner = runner_with_unwritten_memory(transformer)
    sequences = [runner.open(64) for _ in lengths]
    read(runner, sequences, [[(7 * i) % 300 for i in range(length)] for length in lengths])
    sequences.append(sequences[-1].fork())
    new_ids = [[token_id] for token_id in range(20, 20 + len(sequences))]
    expected = read(runner, sequences, new_ids)
    found = in_a_fixed_size(transformer, runner, sequences, new_ids, num_slots=64)
    torch.testing.assert_close(found[: len(sequences)], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("new_ids", [[[8, 9, 10]], [[8], [1, 2, 3, 4]], [[3, 4], [5], [6, 7]]], ids=str)
def test_a_step_of_a_fixed_size_computes_several_tokens_of_a_sequence(
    transformer: Transformer, new_ids: list[list[int]]
) -> None:
    runner = runner_with_unwritten_memory(transformer)
    sequences = [runner.open(64) for _ in new_ids]
    read(runner, sequences, [[(7 * i) % 300 for i in range(5 + 30 * row)] for row in range(len(new_ids))])
    expected = read_each(runner, sequences, new_ids)
    found = in_a_fixed_size(transformer, runner, sequences, new_ids, num_slots=128)
    torch.testing.assert_close(found[: len(expected)], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_replayed_step_gives_the_logits_of_an_eager_one(transformer: Transformer) -> None:
    replaying, eager = Runner(transformer), eager_runner(transformer)
    pairs = [[runner.open(40) for _ in range(3)] for runner in (replaying, eager)]
    rows = [[1, 2, 3], [4], [5, 6, 7, 8, 9]]
    for token_id in range(10, 30):
        found, expected = (
            read(runner, own, rows) for runner, own in zip((replaying, eager), pairs, strict=True)
        )
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
        rows = [[token_id], [token_id + 1], [token_id + 2]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_replayed_step_computes_drafts_and_rolls_them_back(transformer: Transformer) -> None:
    replaying = Runner(transformer, backends=[EagerGraphs, EagerBackend])
    eager = eager_runner(transformer)
    pairs = [[runner.open(60) for _ in range(2)] for runner in (replaying, eager)]
    for runner, own in zip((replaying, eager), pairs, strict=True):
        read(runner, own, [[1, 2, 3], [5, 6, 7, 8, 9] * 3])
    for token_id in range(10, 30):
        draft = list(range(token_id, token_id + 1 + token_id % 8))
        for rows in ([draft], [[token_id], draft[::-1]]):
            found, expected = (
                read_each(runner, own[-len(rows) :], rows)
                for runner, own in zip((replaying, eager), pairs, strict=True)
            )
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
            for own in pairs:
                own[1].rollback(token_id % 8)
    graphs = replaying.backends[0]
    assert isinstance(graphs, EagerGraphs)
    assert len(graphs.graphs) > 3


def test_single_tokens_are_replayed_and_several_while_they_are_few(transformer: Transformer) -> None:
    def replayable(*lengths: int) -> list[int]:
        sequence = Runner(transformer).open(64)
        return chunks_for_graph([Chunk(sequence, [1] * length, 1) for length in lengths])

    assert replayable(*[1] * 100) == list(range(100))
    assert replayable(8, 1, 8, 1) == [0, 1, 2, 3]
    assert replayable(8, 1, 9, 1) == [0, 1, 3]
    assert replayable(512, 1, 3) == [1, 2]


class HandReplay:
    """A graph as it behaves on a GPU, without one: it computes on the memory that it was captured with."""

    def __init__(self, step: Step, logits_BV: torch.Tensor) -> None:
        self._step, self._logits_BV = step, logits_BV

    def replay(self) -> None:
        self._logits_BV.copy_(self._step())


class HandReplayedGraphs:
    """The backend of CUDA graphs on any device; `num_rows` of every step, and the number of all captures."""

    num_captures = 0
    num_rows: list[int]

    def __init__(self, layers: ModelLayers, cache: KVCache) -> None:
        step = EagerStep(layers)

        def capture(fixed: Step, inputs: StepInputs) -> Capture:
            type(self).num_captures += 1
            logits_BV = fixed().clone()
            return Capture(HandReplay(fixed, logits_BV), fixed, inputs, logits_BV)

        self.graphs = GraphPool(layers.device, lambda inputs: FixedSizeStep(step, cache, inputs), capture)

    @staticmethod
    def is_available(_layers: ModelLayers) -> bool:
        return True

    def can_run(self, chunks: Sequence[Chunk]) -> Sequence[int]:
        return chunks_for_graph(chunks)

    def __call__(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        self.num_rows.append(sum(len(chunk.token_ids) for chunk in chunks))
        return self.graphs(chunks)


@pytest.fixture
def hand_replayed(monkeypatch: pytest.MonkeyPatch) -> type[HandReplayedGraphs]:
    monkeypatch.setattr(HandReplayedGraphs, "num_captures", 0)
    monkeypatch.setattr(HandReplayedGraphs, "num_rows", [], raising=False)
    return HandReplayedGraphs


def test_a_step_is_divided_between_what_is_replayed_and_what_is_not(
    transformer: Transformer, hand_replayed: type[HandReplayedGraphs]
) -> None:
    """Long prompts are computed beside single tokens, and of a few tokens the last one's logits are given."""
    divided = Runner(transformer, backends=[hand_replayed, NumbaBackend, EagerBackend])
    whole = eager_runner(transformer)
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
    assert hand_replayed.num_rows == [4, 4, 4]


def test_graphs_outlive_a_request_for_which_the_cache_grew(
    transformer: Transformer, hand_replayed: type[HandReplayedGraphs]
) -> None:
    """They belong to the cache of the fixed size, which gets what was computed in the larger one."""
    runner = Runner(transformer, num_blocks=4, backends=[hand_replayed, EagerBackend])
    expected = eager_runner(transformer)
    pair = [one.open(2 * BLOCK_SIZE) for one in (runner, expected)]

    def assert_both_decode(*token_ids: int) -> None:
        for token_id in token_ids:
            found, right = (
                read(one, [own], [[token_id]]) for one, own in zip((runner, expected), pair, strict=True)
            )
            torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-4)

    assert_both_decode(*range(3, 12))
    fixed, num_captures = runner.cache, hand_replayed.num_captures
    assert num_captures == 1
    large = runner.open(100)
    read(runner, [large], [list(range(40, 80))])
    assert runner.pool.num_blocks > 4
    assert_both_decode(20, 21)
    runner.close([large])
    assert runner.pool.num_blocks == 4
    assert runner.cache is fixed
    num_captures = hand_replayed.num_captures
    assert_both_decode(*range(22, 26))
    assert hand_replayed.num_captures == num_captures
