"""Spans of several kinds in one block: disjoint, in order, with the tails that prompts have."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.inference.prompts.prefix_tail import split_tail
from incoder.objective.span_kinds.mixture import SpanKind, mixed_spans
from incoder.tokenizer.prefix_tail import LINES_BETWEEN_HOLES

ALL_KINDS: dict[SpanKind, float] = dict.fromkeys(get_args(SpanKind), 1.0)
LINES = b"".join(b"value%d = f(%d, 'x')\n" % (number, number) for number in range(60))


@given(
    st.lists(
        st.sampled_from(
            [b"x = f(a, 'b')", b" ", b"\n", b"\r\n", b"    if y:", b"\xc3\xa9", b"\xff", b'"""d"""']
        ),
        max_size=40,
    ).map(b"".join),
    st.integers(1, 6),
    st.integers(0, 9),
    st.integers(0, 2**32),
)
def test_spans_are_apart_and_not_empty(data: bytes, num_spans: int, num_tail_lines: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    spans = mixed_spans(
        num_spans, data, rng, weights=ALL_KINDS, mean_lines=1.5, num_tail_lines=num_tail_lines
    )
    cuts = [cut for span in spans for cut in span]
    assert cuts == sorted(cuts)
    assert len(spans) <= num_spans
    assert all(start < end for _, start, end in spans)
    ends = [0, *(end for *_, end in spans)]
    assert all(end < start or end == 0 for end, (_, start, _) in zip(ends, spans, strict=False))


@given(st.integers(1, 9), st.integers(0, 2**32))
def test_tails_are_those_of_a_prompt_with_the_same_holes(num_tail_lines: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    spans = mixed_spans(5, LINES, rng, weights=ALL_KINDS, mean_lines=1.5, num_tail_lines=num_tail_lines)
    before = 0
    for number, (tail_start, start, end) in enumerate(spans):
        num_kept = min(num_tail_lines, LINES_BETWEEN_HOLES) if number else 0
        _, tail = split_tail(LINES[before:start].decode(), num_tail_lines, num_kept)
        assert LINES[tail_start:start].decode() == tail
        before = end


def test_kinds_are_drawn_by_their_weights() -> None:
    data = b"print('a', b)\n" * 40
    counts = {"b": 0, "line": 0}
    for seed in range(600):
        rng = np.random.default_rng(seed)
        weights: dict[SpanKind, float] = {"strings": 3.0, "block-openers": 0.001, "lines": 1.0}
        ((_, start, end),) = mixed_spans(1, data, rng, weights=weights, mean_lines=1)
        counts["b" if data[start:end] == b"a" else "line"] += 1
    assert counts["b"] / 600 == pytest.approx(0.75, abs=0.06)


def test_a_kind_that_a_text_does_not_have_becomes_characters() -> None:
    data = b"no string here at all\n" * 9
    for seed in range(30):
        spans = mixed_spans(
            2, data, np.random.default_rng(seed), weights={"docstrings": 1.0}, mean_lines=1, num_tail_lines=1
        )
        assert 1 <= len(spans) <= 2
        assert all(b"\n" not in data[start:end] for _, start, end in spans)


def test_the_same_generator_draws_the_same_spans() -> None:
    one, other = (
        mixed_spans(8, LINES, np.random.default_rng(7), weights=ALL_KINDS, mean_lines=1.5) for _ in range(2)
    )
    assert one == other
