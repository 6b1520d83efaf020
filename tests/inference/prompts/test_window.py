"""Tokens are counted as words and line ends here, so that the numbers can be followed."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.inference.prompts.window import Window, cut_window

ANY_NUMBER_OF_HOLES = 255


def count(text: str) -> int:
    return len(re.findall(r"\S+|[\r\n]+", text))


def numbered(num_lines: int, name: str = "line") -> str:
    """Lines of two words and a line end: three tokens each."""
    return "".join(f"{name} {number}\n" for number in range(num_lines))


def cut(parts: Sequence[str], budget: int) -> Window:
    return cut_window(parts, budget, ANY_NUMBER_OF_HOLES, count)


def test_a_text_that_fits_stays_whole() -> None:
    parts = [numbered(10), numbered(5), numbered(3)]
    assert cut(parts, 100) == Window(tuple(parts), is_start=True)


def test_the_text_nearest_to_the_hole_is_kept() -> None:
    window = cut([numbered(1000), numbered(1000)], 300)
    before, after = window.parts
    assert before.endswith("line 998\nline 999\n")
    assert after.startswith("line 0\nline 1\n")
    assert count(before) + count(after) <= 300
    assert 150 <= count(before) <= 200
    assert 50 <= count(after) <= 100


def test_the_first_lines_are_kept() -> None:
    before = cut(["import os\nimport sys\n" + numbered(1000), ""], 200).parts[0]
    assert before.startswith("import os\nimport sys\nline 0\n")
    assert before.endswith("line 999\n")


def test_a_budget_too_small_for_the_first_line_omits_the_start() -> None:
    window = cut(["a b c d e f g h\n" + numbered(1000), ""], 60)
    assert not window.is_start
    assert window.parts[0].startswith("line 9")


def test_one_side_takes_what_the_other_leaves() -> None:
    before, after = cut([numbered(1000), "the end\n"], 300).parts
    assert after == "the end\n"
    assert count(before) >= 230
    before, after = cut(["the start\n", numbered(1000)], 300).parts
    assert before == "the start\n"
    assert count(after) >= 230


def test_cuts_stay_put_while_someone_types() -> None:
    typed = "for x in range of many words on one line and more and more and more\n" * 3
    before, after = numbered(500), numbered(500)
    starts = set()
    ends = set()
    for end in range(len(typed)):
        window = cut([before + typed[:end], after], 300)
        starts.add(len(before) + end - len(window.parts[0]))
        ends.add(len(window.parts[1]))
    assert len(ends) == 1
    assert len(starts) <= 3  # 48 tokens were typed: the cut moves by 16 lines of 3 tokens at a time


def test_the_cut_after_the_hole_stays_put_while_the_hole_moves_down() -> None:
    text = numbered(500)
    lines = text.splitlines(keepends=True)
    ends = set()
    for number in range(250, 262):
        after = cut(["".join(lines[:number]), "".join(lines[number:])], 300).parts[1]
        ends.add(text.index(after) + len(after))
    assert len(ends) <= 2


def test_one_endless_line_is_cut_at_a_character() -> None:
    line = "x = [" + "1, " * 10_000
    before, after = cut([line, line], 300).parts
    assert line.endswith(before)
    assert line.startswith(after)
    assert 250 <= count(before) + count(after) <= 300


def test_long_lines_are_cut_at_lines() -> None:
    line = "word " * 49 + "\n"
    before, after = cut([line * 20, line * 20], 300).parts
    assert set(before.splitlines(keepends=True)) == {line}
    assert before.count("\n") == 4
    assert after == line * 2


def test_near_holes_are_shown_and_far_ones_are_not() -> None:
    parts = [numbered(300), numbered(5, "a"), numbered(5, "b"), numbered(300, "c"), numbered(3, "d")]
    shown = cut(parts, 300).parts
    assert len(shown) == 4
    assert shown[1:3] == (parts[1], parts[2])
    assert parts[3].startswith(shown[3])


def test_holes_side_by_side_and_at_the_end_are_shown() -> None:
    assert cut(["", "", ""], 100).parts == ("", "", "")
    assert cut(["a", "", "b", ""], 100).parts == ("a", "", "b", "")


def test_no_more_holes_are_shown_than_there_are_sentinels() -> None:
    assert cut_window(["a"] * 10, 100, 3, count).parts == ("a", "a", "a", "a")


def test_an_empty_budget_shows_nothing() -> None:
    assert cut(["a b c\n", "d e f\n"], 0) == Window(("", ""), is_start=False)


@pytest.mark.parametrize("budget", [1, 7, 40, 400])
@given(
    parts=st.lists(
        st.text(st.sampled_from("ab \n\r"), max_size=200).map(lambda text: text * 3), min_size=2, max_size=5
    )
)
def test_a_window_fits_and_touches_its_hole(parts: list[str], budget: int) -> None:
    window = cut(parts, budget)
    cost = sum(map(count, window.parts))
    assert cost <= budget
    assert len(window.parts) >= 2
    assert window.parts[1 : len(window.parts) - 1] == tuple(parts[1 : len(window.parts) - 1])
    last = len(window.parts) - 1
    assert parts[last].startswith(window.parts[last])
    if window.is_start and window.parts[0] != parts[0]:
        assert parts[0][0] == window.parts[0][0]


def test_a_line_that_is_too_long_is_not_counted_whole() -> None:
    counted: list[int] = []

    def counting(text: str) -> int:
        counted.append(len(text))
        return count(text)

    line = "a b c d e f g h " * 100_000
    before, after = cut_window([line, line], 300, ANY_NUMBER_OF_HOLES, counting).parts
    assert 150 <= count(before) <= 200
    assert 50 <= count(after) <= 100
    assert sum(counted) < 50_000
