"""Outputs are compared as SAFIM's executor does."""

import pytest

from incoder.evaluation.output_comparison import is_same_output


@pytest.mark.parametrize(
    ("printed", "wanted"),
    [
        ("1 2\n3\n", "1 2\n3"),
        ("\n 1 2  \r\n3", "1 2\n3\n"),
        ("a  b", "a  b"),
        ("a b\nc", "a\nb c"),  # the same words
        ("YES\nno", "Yes\nNO"),
        ("True", "TRUE"),
        ("0.3000000000000001", "0.3"),
        ("1e3", "1000.0000000000001"),
        ("1", "1.0"),
        ("", "  \n"),
    ],
)
def test_outputs_are_the_same(printed: str, wanted: str) -> None:
    assert is_same_output(printed, wanted)
    assert is_same_output(wanted, printed)


@pytest.mark.parametrize(
    ("printed", "wanted"),
    [
        ("1 2", "1 2 3"),
        ("0.30000001", "0.3"),
        ("1e-11", "0"),
        ("Abc", "abc"),
        ("YES", "NO"),
        ("Impossible", "impossible"),
        ("nan", "3"),
        ("1_0", "10"),
        ("١", "1"),
        ("9" * 1200, "8" * 1200),
        ("1e99999", "-1e99999"),
        ("", "0"),
    ],
)
def test_outputs_differ(printed: str, wanted: str) -> None:
    assert not is_same_output(printed, wanted)
    assert not is_same_output(wanted, printed)
