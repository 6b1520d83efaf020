"""String literals: Python reads the given text back from each of them."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.editing.docstrings.string_literals import as_literal, escaped, opening

TEXTS = st.text(st.sampled_from("ab \n\"'\\{né"), max_size=20)


@given(TEXTS, st.sampled_from(['"""', "'''"]))
def test_a_literal_means_its_text(text: str, quote: str) -> None:
    assert ast.literal_eval(as_literal(text, quote)) == text


@given(TEXTS, st.sampled_from(['"""', "'''", '"', "'"]))
def test_escaped_text_may_end_a_literal(text: str, quote: str) -> None:
    if len(quote) == 1:
        text = text.replace("\n", " ")
    assert ast.literal_eval(f"{quote}{escaped(text, quote)}{quote}") == text


def test_backslashes_make_a_raw_literal_as_in_other_docstrings() -> None:
    assert as_literal(r"Match \d.") == r'r"""Match \d."""'


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ('"""a"""', (False, '"""')),
        ("r'''a'''", (True, "'''")),
        ("'a'", (False, "'")),
        ('"a" "b"', None),
        ('"""a""" """b"""', None),
        ('"""a"""\n"""b"""', None),
    ],
)
def test_a_literal_tells_its_quotes_unless_there_are_several(
    literal: str, expected: tuple[bool, str] | None
) -> None:
    assert opening(literal) == expected
