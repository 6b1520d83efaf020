"""A unified diff, and the file before and after it."""

import difflib
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.editing.next_edits.diffs import versions
from incoder.errors import IncoderError

PATH = PurePath("a.py")
TEXTS = st.lists(st.sampled_from(["a\n", "b\n", "-c\n", "+d\n", "\n", "@@ e\n"]), max_size=12).map("".join)


def diff_of(before: str, after: str, name: str = "a.py", context: int = 3) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=context
    )
    return "".join(
        line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines
    )


@given(TEXTS, TEXTS, st.integers(0, 3))
def test_the_version_before_is_found_from_the_one_after(before: str, after: str, context: int) -> None:
    if before == after:
        return
    diff = diff_of(before, after, context=context)
    assert versions(after, diff, PATH) == (before, after)


def test_a_file_without_a_last_line_end_keeps_it_so() -> None:
    before, after = "a\nb", "a\nc"
    assert versions(after, diff_of(before, after), PATH) == (before, after)
    assert versions(before, diff_of(before, after), PATH) == (before, after)
    assert versions("b\n", diff_of("b", "b\n"), PATH) == ("b", "b\n")


def test_of_several_files_the_one_of_this_name_counts() -> None:
    diff = diff_of("x\n", "y\n", "b.py") + diff_of("1\n", "2\n") + diff_of("p\n", "q\n", "c.py")
    assert versions("1\n", diff, PurePath("src/a.py")) == ("1\n", "2\n")
    with pytest.raises(IncoderError, match=r"the diff has no change of d\.py"):
        versions("1\n", diff, PurePath("d.py"))


def test_the_only_file_of_a_diff_may_have_another_name() -> None:
    assert versions("2\n", diff_of("1\n", "2\n", "old.py"), PATH) == ("1\n", "2\n")


@pytest.mark.parametrize("diff", ["", "nothing", "@@ -1 +1 @@", "--- a.py\n+++ a.py\n", "\x00" * 100])
def test_what_is_no_diff_or_belongs_to_another_version_is_refused(diff: str) -> None:
    with pytest.raises(IncoderError, match=r"no change of a\.py|ends within a change"):
        versions("1\n", diff, PATH)
    with pytest.raises(IncoderError, match=r"another version of a\.py"):
        versions("something else\n", diff_of("1\n", "2\n"), PATH)


def test_carriage_returns_are_part_of_the_lines() -> None:
    diff = "--- a.py\n+++ a.py\n@@ -1,2 +1,2 @@\n-a\r\n+b\r\n c\r\n"
    assert versions("b\r\nc\r\n", diff, PATH) == ("a\r\nc\r\n", "b\r\nc\r\n")
