import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.objective.packing import IGNORED, PADDING, pack
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer


@given(lengths=st.lists(st.integers(1, 20), max_size=40), seed=st.integers(0, 2**32))
def test_every_segment_is_in_one_row_with_its_own_positions(
    tiny_tokenizer: Tokenizer, infilling_format: CausalMaskingFormat, lengths: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    segments = [rng.integers(4, 260, length).tolist() for length in lengths]
    rows = pack(segments, 20, infilling_format=infilling_format, tokenizer=tiny_tokenizer)
    assert rows.token_ids.shape == rows.targets.shape == rows.segment_ids.shape == rows.positions.shape
    assert rows.token_ids.shape == (len(rows), 20)
    found = []
    for token_ids, targets, segment_ids, positions in zip(
        rows.token_ids, rows.targets, rows.segment_ids, rows.positions, strict=True
    ):
        used = segment_ids != PADDING
        assert set(segment_ids[used].tolist()) == set(range(segment_ids.max() + 1))
        assert (np.diff(segment_ids[used]) >= 0).all()
        assert used[: used.sum()].all()
        assert (token_ids[~used] == tiny_tokenizer.pad_id).all()
        assert (targets[~used] == IGNORED).all()
        for segment_id in range(segment_ids.max() + 1):
            members = segment_ids == segment_id
            segment = token_ids[members].tolist()
            assert positions[members].tolist() == list(range(len(segment)))
            assert targets[members].tolist() == [*segment[1:], IGNORED]
            found.append(segment)
    assert sorted(found) == sorted(segments)


def test_nothing_is_trained_to_write_a_sentinel(
    tiny_tokenizer: Tokenizer, infilling_format: CausalMaskingFormat
) -> None:
    mask_0, mask_1 = tiny_tokenizer.sentinel_ids[:2]
    end = tiny_tokenizer.end_of_mask_id
    segment = infilling_format.write([[2, 70, 71], [72]], [[80, 81]], continues=True)
    assert segment == [2, 70, 71, mask_0, 72, mask_1, mask_0, 80, 81, end]
    rows = pack([segment], 12, infilling_format=infilling_format, tokenizer=tiny_tokenizer)
    # Each sentinel is read, and what comes after it is trained, as is the end-of-mask.
    assert rows.targets.tolist() == [
        [70, 71, IGNORED, 72, IGNORED, IGNORED, 80, 81, end, IGNORED, IGNORED, IGNORED]
    ]


def test_a_segment_goes_where_it_leaves_the_least_room(
    tiny_tokenizer: Tokenizer, infilling_format: CausalMaskingFormat
) -> None:
    segments = [[70 + length] * length for length in (3, 7, 4, 6)]
    rows = pack(segments, 10, infilling_format=infilling_format, tokenizer=tiny_tokenizer)
    assert rows.token_ids.tolist() == [[77] * 7 + [73] * 3, [76] * 6 + [74] * 4]


@pytest.mark.parametrize("window", [256, 512, 2048])
def test_less_than_three_percent_is_padding(
    tiny_tokenizer: Tokenizer, infilling_format: CausalMaskingFormat, window: int
) -> None:
    # Source files have about log-normal lengths, here with a median of 800 tokens and a mean of 1600.
    rng = np.random.default_rng(0)
    lengths = np.maximum(2, np.exp(rng.normal(np.log(800), 1.2, 128))).astype(int).tolist()
    segments = []
    for length in lengths:
        segments += [[70] * window] * (length // window) + [[70] * (length % window)] * (length % window > 0)
    rows = pack(segments, window, infilling_format=infilling_format, tokenizer=tiny_tokenizer)
    assert (rows.segment_ids == PADDING).mean() < 0.03


def test_rows_are_picked_by_slices_and_by_numbers(
    tiny_tokenizer: Tokenizer, infilling_format: CausalMaskingFormat
) -> None:
    segments = [[70] * 8, [71] * 7, [72] * 6]
    rows = pack(segments, 8, infilling_format=infilling_format, tokenizer=tiny_tokenizer)
    assert len(rows[1:]) == 2
    assert rows[np.array([2, 0])].token_ids[:, 0].tolist() == [72, 70]
    assert rows[np.array([2, 0])].segment_ids.tolist() == [[0] * 6 + [PADDING] * 2, [0] * 8]
