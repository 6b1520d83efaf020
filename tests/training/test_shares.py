import numpy as np
import pytest

from incoder.objective.packing import IGNORED, PADDING, PackedRows
from incoder.training.ranks import Place
from incoder.training.shares import micro_batches


def batch(num_rows: int) -> PackedRows:
    token_ids = np.arange(1, num_rows + 1)[:, None] * np.ones((1, 4), np.int64)
    return PackedRows(token_ids, token_ids, np.zeros_like(token_ids), np.zeros_like(token_ids))


@pytest.mark.parametrize("num_rows", [1, 2, 7, 8, 9])
@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [None, 1, 2, 3])
def test_ranks_have_all_rows_once_in_as_many_micro_batches(
    num_rows: int, world_size: int, size: int | None
) -> None:
    rows = batch(num_rows)
    parts = [list(micro_batches(rows, Place(rank, world_size), size)) for rank in range(world_size)]
    assert len({len(own) for own in parts}) == 1
    if size is not None:
        assert max(len(part) for own in parts for part in own) <= size
    trained = np.concatenate([part.targets[:, 0] for own in parts for part in own])
    assert sorted(trained[trained != IGNORED]) == rows.targets[:, 0].tolist()


def test_one_process_computes_no_padding_rows() -> None:
    parts = list(micro_batches(batch(7), Place(), size=3))
    assert [part.token_ids[:, 0].tolist() for part in parts] == [[1, 2, 3], [4, 5, 6], [7]]


def test_a_rank_without_rows_computes_one_of_padding() -> None:
    (empty,) = micro_batches(batch(1), Place(rank=1, world_size=2), size=None)
    assert empty.token_ids.shape == (1, 4)
    assert (empty.targets == IGNORED).all()
    assert (empty.segment_ids == PADDING).all()
