import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.document import Parts
from incoder.errors import IncoderError


def test_a_text_is_cut_at_every_marker() -> None:
    parts = Parts.split("a = <FILL>\nb = <FILL>")
    assert parts.texts == ("a = ", "\nb = ", "")
    assert parts.num_holes == 2
    assert parts.join(["1", "2"]) == "a = 1\nb = 2"


def test_another_marker_can_be_given() -> None:
    assert Parts.split("x = ???", hole="???").texts == ("x = ", "")


@given(texts=st.lists(st.text(), min_size=1), infill=st.text())
def test_joining_puts_the_infills_between_the_texts(texts: list[str], infill: str) -> None:
    parts = Parts(tuple(texts))
    assert parts.join([infill] * parts.num_holes) == infill.join(texts)


def test_as_many_infills_as_holes_are_needed() -> None:
    with pytest.raises(IncoderError, match="1 holes needs as many infills, got 2"):
        Parts(("a", "b")).join(["1", "2"])


def test_an_empty_marker_and_no_parts_are_refused() -> None:
    with pytest.raises(IncoderError, match="must not be empty"):
        Parts.split("a", hole="")
    with pytest.raises(IncoderError, match="at least one part"):
        Parts(())
