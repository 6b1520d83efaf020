"""Sorted contexts: what bisection finds is what a search through every sequence finds."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.inference.memory.segment import MAX_ORDER, Segment, token_width

sequences = st.lists(st.lists(st.integers(0, 3), max_size=30), max_size=5)


def counted(texts: list[list[int]], context: list[int]) -> Counter[int]:
    """The reference implementation."""
    size = len(context)
    return Counter(
        text[place]
        for text in texts
        for place in range(max(2, size), len(text))
        if text[place - size : place] == context
    )


@given(texts=sequences, context=st.lists(st.integers(0, 3), min_size=2, max_size=10))
def test_bisection_finds_what_a_search_through_everything_finds(
    texts: list[list[int]], context: list[int]
) -> None:
    segment, _ = Segment.build(texts, vocab_size=4)
    expected = {size: counted(texts, context[-size:]) for size in range(2, min(MAX_ORDER, len(context)) + 1)}
    longest = max((size for size, counts in expected.items() if counts), default=0)
    assert {size: segment.continuations(segment.find(context[-size:])) for size in expected} == expected
    assert max(segment.longest_match(context), 1) == max(longest, 1)


@pytest.mark.parametrize("vocab_size", [5, 8192, 65_535, 65_536, 151_936])
def test_vocabularies_of_every_size_are_sorted_alike(vocab_size: int) -> None:
    high = vocab_size - 1
    texts = [[high, 0, high, 1, 2], [0, high, 3, high, 0, high, 1]]
    segment, spans = Segment.build(texts, vocab_size)
    assert segment.continuations(segment.find([high, 0, high])) == {1: 2}
    assert segment.continuations(segment.find([0, high])) == {1: 2, 3: 1}
    assert [segment.tokens_of(span).tolist() for span in spans] == texts


def test_a_token_takes_six_bytes_or_eight() -> None:
    texts = [list(range(1000))]
    for vocab_size, per_token in ((65_535, 6), (65_536, 8)):
        segment, _ = Segment.build(texts, vocab_size)
        assert abs(len(segment.data) - 1000 * per_token) < 20
        assert token_width(vocab_size) == per_token - 4


def test_no_context_reaches_from_one_sequence_into_another() -> None:
    segment, _ = Segment.build([[1, 2, 3], [4, 5, 6]], vocab_size=9)
    assert segment.longest_match([2, 3]) == 0
    assert segment.continuations(segment.find([4, 5])) == {6: 1}
    assert segment.continuations(segment.find([2, 3])) == {}


def test_what_follows_a_place_ends_with_its_sequence() -> None:
    segment, _ = Segment.build([[1, 2, 3, 4, 5], [6, 7, 8]], vocab_size=9)
    (place,) = segment.places(segment.find([1, 2])).tolist()
    assert segment.token_at(place) == 3
    assert segment.following(place, 2) == [3, 4]
    assert segment.following(place, 9) == [3, 4, 5]


def test_empty_and_very_short_sequences_have_no_contexts() -> None:
    segment, spans = Segment.build([[], [1], [1, 2]], vocab_size=9)
    assert (segment.num_positions, segment.num_tokens) == (0, 3)
    assert [segment.tokens_of(span).tolist() for span in spans] == [[], [1], [1, 2]]
    assert segment.longest_match([1, 2]) == 0


def test_many_continuations_are_counted_as_few_are() -> None:
    text = [token for number in range(100) for token in (1, 2, 3 + number % 5)]
    segment, _ = Segment.build([text], vocab_size=9)
    assert segment.continuations(segment.find([1, 2])) == dict.fromkeys(range(3, 8), 20)
