"""Answers are cut by lines and compared in three ways."""

import pytest

from incoder.evaluation.answers import as_long_as, edit_similarity, exact_matches, first_lines


@pytest.mark.parametrize(
    ("text", "num_lines", "expected"),
    [
        ("    a\n    b\n", 1, "    a\n"),
        ("\n\n    a\n", 1, "    a\n"),
        ("a", 1, "a\n"),
        ("a\n\nb\nc", 3, "a\n\nb\n"),
        ("a\n", 5, "a\n"),
        ("a\r\nb", 1, "a\r\n"),
        ("", 1, "\n"),
    ],
)
def test_first_lines_are_counted_from_the_first_with_text(text: str, num_lines: int, expected: str) -> None:
    assert first_lines(text, num_lines) == expected


@pytest.mark.parametrize(
    ("gold", "expected"),
    [
        ("x\n", "a\n"),
        ("x\ny\n", "a\nb\n"),
        ("x", "a"),
        ("x\ny", "a\nb"),
        ("\nx", "a"),
        ("x\n\n", "a\nb\n"),
        ("", ""),
    ],
)
def test_text_is_cut_to_the_lines_of_the_gold_text(gold: str, expected: str) -> None:
    assert as_long_as("a\nb\nc\n", gold) == expected


@pytest.mark.parametrize("gold", ["x\n", "x", "\nx", "\n\n    x\n    y\n", "    x\n\n", "x\n\ny", "\n", ""])
def test_the_gold_text_is_as_long_as_itself(gold: str) -> None:
    assert as_long_as(gold, gold) == gold


def test_blank_lines_in_front_do_not_count_and_stay_only_where_gold_has_them() -> None:
    assert as_long_as("\n\n  a\n  b\n", "  x\n") == "  a\n"
    assert as_long_as("\n\n  a\n  b\n", "\n  x\n") == "\n\n  a\n"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("", "", 1), ("a", "", 0), ("abc", "abc", 1), ("abc", "abd", 2 / 3), ("kitten", "sitting", 1 - 3 / 7)],
)
def test_edit_similarity_is_one_less_the_share_of_edits(one: str, other: str, expected: float) -> None:
    assert edit_similarity(one, other) == edit_similarity(other, one) == pytest.approx(expected)


def test_exact_matches_differ_by_white_space() -> None:
    def strictness(completion: str) -> list[float]:
        return list(exact_matches(completion, "  x\n").values())

    assert strictness("  x\n") == [1, 1, 1]
    assert strictness("  x") == [0, 1, 1]
    assert strictness("x\n") == [0, 0, 1]
    assert strictness("y\n") == [0, 0, 0]
