import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.inference.prompts.prefix_tail import split_tail
from incoder.objective.lines import line_spans

TEXT = b"import os\n\n\ndef main():\r\n    print(1)\n\n    \n    return 2"


def test_spans_are_whole_lines_or_begin_in_one_and_end_with_one() -> None:
    whole, from_first, from_inside = 0, 0, 0
    for seed in range(2000):
        ((start, _, end),) = line_spans(1, TEXT, np.random.default_rng(seed), mean_lines=2)
        line_start = TEXT.rfind(b"\n", 0, start) + 1
        if start == line_start and (TEXT[:end].endswith(b"\n") or end == len(TEXT)):
            whole += 1
            continue
        assert TEXT[end : end + 1] in (b"\n", b"\r", b"")
        before = TEXT[line_start:start]
        from_first += before.isspace() or not before
        from_inside += bool(before.strip())
        assert not TEXT[start : start + 1].isspace() or before.strip()
    assert 0.4 < whole / 2000 < 0.65  # those at the end, without a newline, look like whole ones
    assert from_first > 200
    assert from_inside > 200


@pytest.mark.parametrize("mean_lines", [1, 1.25, 2, 4])
def test_spans_have_a_geometric_number_of_lines(mean_lines: float) -> None:
    text = b"x = 1\n" * 100
    rng = np.random.default_rng(0)
    num_lines = []
    for _ in range(2000):
        ((start, _, end),) = line_spans(1, text, rng, mean_lines=mean_lines)
        num_lines.append(text[start:end].count(b"x"))
    after_the_x = num_lines.count(0) / 2000  # an eighth and more begin there, and lose an x
    assert np.mean(num_lines) + after_the_x == pytest.approx(mean_lines, abs=0.3)
    assert (num_lines.count(0) + num_lines.count(1)) / 2000 >= 1 / mean_lines - 0.05
    assert max(num_lines) > 1 or mean_lines == 1


def test_blank_lines_are_neither_first_nor_last() -> None:
    text = b"\n \n\tx = 1\n\n\n"
    for seed in range(50):
        ((start, _, end),) = line_spans(1, text, np.random.default_rng(seed), mean_lines=2)
        assert text[start:end].strip()
        assert start >= 3
        assert end <= 10


@pytest.mark.parametrize("text", [b"", b"\n", b" \r\n\t\n"])
def test_a_blank_text_has_no_line_spans(text: bytes) -> None:
    assert line_spans(3, text, np.random.default_rng(0), mean_lines=2) == []


def test_where_lines_run_out_there_are_fewer_spans() -> None:
    spans = [line_spans(5, b"a\nb\n", np.random.default_rng(seed), mean_lines=2) for seed in range(10)]
    assert max(map(len, spans)) in (1, 2)


def test_a_span_begins_with_a_prefix_tail_from_the_start_of_a_line() -> None:
    lines = [b"    %d\n" % number for number in range(20)]
    data, firsts, lengths = b"".join(lines), [], []
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        ((start, tail_end, end),) = line_spans(1, data, rng, mean_lines=2, num_tail_lines=4)
        taken = data[start:end].splitlines()
        tail = data[start:tail_end]
        assert tail.count(b"\n") == min(3, data[:tail_end].count(b"\n"))
        assert data[tail_end:end].strip()
        assert data[:start] == b"".join(lines[: data[:start].count(b"\n")])
        firsts.append(data[:start].count(b"\n"))
        if firsts[-1] > 0:
            lengths.append(len(taken))
    assert min(lengths) == 4
    assert lengths.count(4) / len(lengths) == pytest.approx(0.5, abs=0.1)
    assert firsts.count(0) > firsts.count(1)  # also those whose tail begins before the text


@given(
    st.lists(st.sampled_from([b"x", b" ", b"\n", b"\r\n", b"\r", b"\xc3\xa9", b"\xff"]), max_size=30),
    st.integers(1, 5),
    st.integers(0, 3),
    st.integers(0, 2**32),
)
def test_line_spans_do_not_overlap_and_are_not_empty(
    pieces: list[bytes], num_spans: int, num_tail_lines: int, seed: int
) -> None:
    data = b"".join(pieces)
    rng = np.random.default_rng(seed)
    spans = line_spans(num_spans, data, rng, mean_lines=2, num_tail_lines=num_tail_lines)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert len(spans) <= num_spans
    assert all(data[tail_end:end].strip() for _, tail_end, end in spans)


@given(
    st.text(st.sampled_from(["x", " ", "\n", "\r", "\f", "\u00a0", "\u2028"]), max_size=30),
    st.integers(1, 5),
    st.integers(0, 2**32),
)
def test_training_cuts_the_prefix_tail_that_a_prompt_gives(text: str, num_tail_lines: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = text.encode()
    for start, tail_end, _ in line_spans(3, data, rng, mean_lines=1.5, num_tail_lines=num_tail_lines):
        _, tail = split_tail(data[:tail_end].decode("utf-8", "surrogateescape"), num_tail_lines)
        assert tail.encode("utf-8", "surrogateescape") == data[start:tail_end]
