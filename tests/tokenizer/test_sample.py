from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.tokenizer import sample
from incoder.tokenizer.sample import sample_text


def test_what_fits_is_taken_whole_and_in_order() -> None:
    documents = ["a\n\n", "é\r\n", "", "c"]
    assert sample_text(documents, max_bytes=100, seed=0) == documents


@given(st.lists(st.text(max_size=20), max_size=30), st.integers(0, 60), st.integers(0, 5))
def test_the_sample_keeps_to_its_bound_and_to_its_seed(
    documents: list[str], max_bytes: int, seed: int
) -> None:
    kept = sample_text(iter(documents), max_bytes, seed)
    assert sum(len(text.encode()) for text in kept) <= max_bytes
    assert kept == sample_text(iter(documents), max_bytes, seed)
    assert not Counter(kept) - Counter(documents)


def test_the_whole_stream_has_the_same_chance() -> None:
    documents = [f"{i:04}" for i in range(1000)]
    kept = [int(text) for seed in range(20) for text in sample_text(documents, max_bytes=400, seed=seed)]
    assert len(kept) == 20 * 100
    per_quarter = Counter(number // 250 for number in kept)
    assert all(abs(per_quarter[quarter] - 500) < 100 for quarter in range(4))  # 5 standard deviations


def test_a_long_document_is_cut_between_lines_and_not_in_a_run_of_line_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sample, "MAX_CHUNK_CHARACTERS", 10)
    document = "one\r\n\r\ntwo\nthree\n\n\n\n\n\n\n\n\n\nfour"
    chunks = sample_text([document], max_bytes=1000, seed=0)
    assert "".join(chunks) == document
    assert chunks == ["one\r\n\r\n", "two\n", "three\n\n\n\n\n\n\n\n\n\n", "four"]


def test_a_line_of_data_is_left_out() -> None:
    long_line = "x" * (sample.MAX_LINE_CHARACTERS + 1)
    assert sample_text([f"a\n{long_line}\n\nb\n", long_line], max_bytes=10_000, seed=0) == ["a\nb\n", ""]


def test_every_document_is_reported() -> None:
    read: list[int] = []
    sample_text(["ab", "", "c\n"], max_bytes=1, seed=0, on_read=read.append)
    assert read == [2, 0, 2]
