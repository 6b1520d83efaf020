"""Edits: ranges of a text, applied together."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.editing.edits import Edit, apply_edits, cut
from incoder.errors import IncoderError

TEXTS = st.text(st.sampled_from("ab \t\r\n\f\ufeff\ud800é"), max_size=40)


@st.composite
def texts_with_ranges(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    """A text and ranges in it that do not overlap, in any order."""
    text = draw(TEXTS)
    places = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    ranges = list(zip(places[::2], places[1::2], strict=False))
    return text, draw(st.permutations(ranges))


@given(texts_with_ranges(), st.lists(st.text(max_size=3), min_size=4, max_size=4))
def test_edits_replace_their_ranges_and_nothing_else(
    drawn: tuple[str, list[tuple[int, int]]], new: Sequence[str]
) -> None:
    text, ranges = drawn
    edits = [Edit(start, end, what) for (start, end), what in zip(ranges, new, strict=False)]
    result = apply_edits(text, edits)
    by_hand = text
    for edit in sorted(edits, reverse=True):  # from the end, so that earlier positions stay valid
        by_hand = by_hand[: edit.start] + edit.text + by_hand[edit.end :]
    assert result == by_hand


@given(texts_with_ranges(), st.lists(st.text(max_size=3), min_size=4, max_size=4), st.integers(0, 4))
def test_holes_filled_with_edits_give_the_edited_text(
    drawn: tuple[str, list[tuple[int, int]]], new: Sequence[str], num_holes: int
) -> None:
    text, ranges = drawn
    edits = [Edit(start, end, what) for (start, end), what in zip(ranges, new, strict=False)]
    filled, kept = sorted(edits[:num_holes]), edits[num_holes:]
    parts = cut(text, [(edit.start, edit.end) for edit in filled], kept)
    joined = parts[0] + "".join(edit.text + part for edit, part in zip(filled, parts[1:], strict=True))
    assert joined == apply_edits(text, edits)


def test_insertions_at_one_place_keep_their_order() -> None:
    assert apply_edits("ad", [Edit(1, 1, "b"), Edit(1, 1, "c")]) == "abcd"


@pytest.mark.parametrize(
    "edits",
    [[Edit(0, 3, "x"), Edit(2, 4, "y")], [Edit(3, 6, "x")], [Edit(-1, 0, "x")], [Edit(2, 1, "x")]],
    ids=["overlapping", "after the end", "before the start", "backwards"],
)
def test_edits_that_make_no_sense_are_refused_together(edits: list[Edit]) -> None:
    with pytest.raises(IncoderError, match=r"overlap|not within"):
        apply_edits("abcde", [Edit(0, 0, "fine"), *edits])
