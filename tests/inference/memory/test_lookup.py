"""The longest known context over several segments, and drafts."""

from hypothesis import given
from hypothesis import strategies as st

from incoder.inference.memory.lookup import Continuations, WeightedSegment, draft, longest_continuations
from incoder.inference.memory.segment import Segment, Span

texts = st.lists(st.lists(st.integers(0, 3), max_size=20), min_size=1, max_size=4)


def weighted(*sequences: list[int], weight: int = 1) -> WeightedSegment:
    return WeightedSegment(Segment.build(sequences, vocab_size=99)[0], weight)


def test_the_longest_context_decides() -> None:
    segments = [weighted([1, 2, 3, 4], [9, 3, 5], [8, 2, 3, 6])]
    assert longest_continuations(segments, [1, 2, 3]) == Continuations(3, {4: 1})
    assert longest_continuations(segments, [7, 2, 3]) == Continuations(2, {4: 1, 6: 1})
    assert longest_continuations(segments, [7, 3]) is None


def test_orders_end_at_eight() -> None:
    text = list(range(20))
    found = longest_continuations([weighted(text)], text[:15])
    assert found == Continuations(8, {15: 1})


def test_the_open_file_counts_threefold() -> None:
    segments = [weighted([1, 2, 3], weight=3), weighted([1, 2, 4], [1, 2, 4])]
    assert longest_continuations(segments, [1, 2]) == Continuations(2, {3: 3, 4: 2})


@given(shown=texts, hidden=texts, context=st.lists(st.integers(0, 3), min_size=2, max_size=8))
def test_what_is_taken_back_leaves_no_trace(
    shown: list[list[int]], hidden: list[list[int]], context: list[int]
) -> None:
    both = [weighted(*shown, *hidden), weighted(*hidden, weight=-1)]
    assert longest_continuations(both, context) == longest_continuations([weighted(*shown)], context)


def test_a_draft_copies_what_follows_the_most_frequent_continuation() -> None:
    segments = [weighted([1, 2, 3, 4, 5, 6], [1, 2, 7, 8], [1, 2, 7, 9])]
    assert draft(segments, [1, 2], 3) == [7, 8]
    assert draft(segments, [1, 2, 3], 2) == [4, 5]
    assert draft(segments, [5, 5], 3) == []
    assert draft(segments, [1, 2], 0) == []


def test_a_draft_copies_nothing_that_is_hidden() -> None:
    segment, spans = Segment.build([[1, 2, 3, 4], [1, 2, 3, 5]], vocab_size=9)
    taken_back = weighted([1, 2, 3, 4], weight=-1)
    hidden = (Span(spans[0].start, spans[0].length + 1),)
    assert draft([WeightedSegment(segment, 1, hidden), taken_back], [1, 2], 3) == [3, 5]


@given(one=texts, other=texts, context=st.lists(st.integers(0, 3), min_size=2, max_size=8))
def test_one_segment_or_two_make_no_difference(
    one: list[list[int]], other: list[list[int]], context: list[int]
) -> None:
    apart = longest_continuations([weighted(*one), weighted(*other)], context)
    assert apart == longest_continuations([weighted(*one, *other)], context)
