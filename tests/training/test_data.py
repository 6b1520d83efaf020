import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from incoder.corpus.storage.token_shards import TokenShard
from incoder.errors import IncoderError
from incoder.objective.masking import MaskingConfig
from incoder.objective.packing import PackedRows
from incoder.objective.rows import training_rows
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.chunks import Chunk, DocumentChunks, PrefetchingLoader
from incoder.training.data import BatchStream, Position, to_device

WINDOWS = (64, 64, 64, 128, 128, 64, 64, 64, 64, 64)


def stream(
    world: Path,
    tokenizer: Tokenizer,
    *,
    seed: int = 0,
    position: Position | None = None,
    weights: dict[str, float] | None = None,
) -> BatchStream:
    return BatchStream(chunks(world, tokenizer, seed=seed, weights=weights), position)


def chunks(
    world: Path, tokenizer: Tokenizer, *, seed: int = 0, weights: dict[str, float] | None = None
) -> DocumentChunks:
    return DocumentChunks(
        TokenShard.open(world / "tokens", "train"),
        tokenizer,
        MaskingConfig(),
        seed=seed,
        documents_per_chunk=4,
        weights=weights,
    )


def test_a_stream_goes_on_from_any_position_as_if_it_had_never_stopped(
    world: Path, tiny_tokenizer: Tokenizer
) -> None:
    whole = stream(world, tiny_tokenizer)
    positions, batches = [], []
    for window in WINDOWS:
        positions.append(BatchStream.position_of(whole.state()))
        batches.append(whole.next_batch(2, window))
    for start, position in enumerate(positions):
        resumed = stream(world, tiny_tokenizer, position=position)
        for window, expected in zip(WINDOWS[start:], batches[start:], strict=True):
            assert np.array_equal(resumed.next_batch(2, window).token_ids, expected.token_ids)


def test_every_epoch_masks_the_documents_anew(world: Path, tiny_tokenizer: Tokenizer) -> None:
    batches = stream(world, tiny_tokenizer)
    first = batches.next_batch(4, 64).token_ids
    while batches.state()["epoch"] == 0:
        batches.next_batch(4, 64)
    again = stream(world, tiny_tokenizer, position=Position(epoch=1)).next_batch(4, 64).token_ids
    assert not np.array_equal(first, again)


@pytest.mark.parametrize("weights", [None, {"code": 2.5}])
def test_an_epoch_is_permuted_once_and_divided_as_by_numpy(
    world: Path, tiny_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, weights: dict[str, float] | None
) -> None:
    epochs: list[int] = []
    original = DocumentChunks.order

    def counted(self: DocumentChunks, epoch: int) -> NDArray[np.integer]:
        epochs.append(epoch)
        return original(self, epoch)

    asked: list[Sequence[int]] = []

    def remembered(documents: object, indices: Sequence[int], **settings: Any) -> PackedRows:
        asked.append(indices)
        return training_rows(documents, indices, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(DocumentChunks, "order", counted)
    monkeypatch.setattr("incoder.training.chunks.training_rows", remembered)
    made = chunks(world, tiny_tokenizer, weights=weights)
    chunk = Chunk(epoch=0, number=0, window=64)
    while chunk.epoch < 2:
        made.rows(chunk)
        chunk = made.after(chunk)
    assert epochs == [0, 1]
    expected = [part for epoch in (0, 1) for part in np.array_split(original(made, epoch), len(made))]
    assert [list(indices) for indices in asked] == [part.tolist() for part in expected]


@pytest.mark.parametrize(
    ("weights", "times"), [(None, 1), ({"code": 5.0}, 1), ({"python": 2.0}, 2), ({"python": 3.0}, 3)]
)
def test_an_epoch_sees_every_document_as_often_as_its_kind_weighs(
    world: Path, tiny_tokenizer: Tokenizer, weights: dict[str, float] | None, times: int
) -> None:
    shard = TokenShard.open(world / "tokens", "train")
    batches = stream(world, tiny_tokenizer, weights=weights)
    starts = 0
    while True:
        rows = batches.next_batch(1, 64)
        if batches.state()["epoch"] == 1:
            break
        starts += int((rows.token_ids == tiny_tokenizer.document_start_id).sum())
    assert starts == times * len(shard)


def test_a_fraction_is_a_chance_and_another_one_in_each_epoch(world: Path, tiny_tokenizer: Tokenizer) -> None:
    drawn = chunks(world, tiny_tokenizer, weights={"python": 1.5})
    counts = [len(drawn.order(epoch)) for epoch in range(200)]
    assert np.mean(counts) == pytest.approx(1.5 * 12, rel=0.05)
    assert len(set(counts)) > 3
    assert drawn.order(3).tolist() == drawn.order(3).tolist()


def test_chunks_prefetched_by_another_process_are_the_same(world: Path, tiny_tokenizer: Tokenizer) -> None:
    own = chunks(world, tiny_tokenizer)
    ahead = PrefetchingLoader(own)
    here, there = BatchStream(own), BatchStream(ahead)
    for window in (64, 64, 128):
        epoch = here.state()["epoch"]
        while here.state()["epoch"] == epoch:
            expected, found = here.next_batch(2, window), there.next_batch(2, window)
            assert np.array_equal(found.token_ids, expected.token_ids)
            assert np.array_equal(found.targets, expected.targets)
            assert there.state() == here.state()
    assert ahead.is_ahead


def test_chunks_are_made_here_when_the_other_process_dies(world: Path, tiny_tokenizer: Tokenizer) -> None:
    own = chunks(world, tiny_tokenizer)
    ahead = PrefetchingLoader(own)
    chunk = Chunk(epoch=0, number=0, window=64)
    for number in range(6):
        assert np.array_equal(ahead.rows(chunk).token_ids, own.rows(chunk).token_ids)
        if number == 1:
            for process in multiprocessing.active_children():
                process.kill()
        chunk = own.after(chunk)
    assert not ahead.is_ahead


class LargeChunks:
    """Chunks whose rows are more than a pipe holds."""

    def __len__(self) -> int:
        return 10

    def after(self, chunk: Chunk) -> Chunk:
        return chunk._replace(number=chunk.number + 1)

    def rows(self, chunk: Chunk) -> PackedRows:
        return np.full(1_000_000, chunk.number)  # type: ignore[return-value] # nobody reads them


def test_chunks_are_made_here_when_the_other_process_dies_while_it_sends_rows() -> None:
    ahead, chunk = PrefetchingLoader(LargeChunks()), Chunk(epoch=0, number=0, window=64)
    ahead.rows(chunk)
    assert ahead._connection is not None
    assert ahead._connection.poll(30), "the other process has begun to send"
    for process in multiprocessing.active_children():
        process.kill()
        process.join()
    assert np.asarray(ahead.rows(ahead.after(chunk)))[0] == 1
    assert not ahead.is_ahead


def test_another_seed_gives_another_order(world: Path, tiny_tokenizer: Tokenizer) -> None:
    one = stream(world, tiny_tokenizer, seed=1).next_batch(4, 64).token_ids
    other = stream(world, tiny_tokenizer, seed=2).next_batch(4, 64).token_ids
    assert not np.array_equal(one, other)


def test_a_corpus_too_small_for_a_batch_is_a_clear_error(world: Path, tiny_tokenizer: Tokenizer) -> None:
    with pytest.raises(IncoderError, match="the corpus is too small"):
        stream(world, tiny_tokenizer).next_batch(10_000, 64)


def test_attention_is_causal_and_stays_in_its_segment() -> None:
    segment_ids = np.array([[0, 0, 1, -1]])
    rows = PackedRows(
        np.zeros((1, 4), np.int64), np.zeros((1, 4), np.int64), segment_ids, np.zeros((1, 4), np.int64)
    )
    expected = [
        [True, False, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [False, False, False, True],
    ]
    mask = to_device(rows, torch.device("cpu"), is_compiled=True).mask
    assert isinstance(mask, torch.Tensor)
    assert mask[0, 0].tolist() == expected
