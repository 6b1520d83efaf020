"""Comments by language: their marks, and texts that would end them too early or too late."""

from pathlib import PurePath

import pytest

from incoder.comments import commented


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("a.py a.pl a.pm a.sh a.rb a.R a.yml Makefile a", "# why"),
        ("a.c a.HPP a.js a.mts a.scss a.sass a.less a.php a.rs a.fs a.json a.cu", "// why"),
        ("a.sql a.lua a.hs", "-- why"),
        ("a.erl a.tex a.pro", "% why"),
        ("a.clj a.el a.asm", "; why"),
        ("a.vim", '" why'),
        ("a.vb", "' why"),
        ("a.f90", "! why"),
        ("a.bat", "REM why"),
        ("a.rst", ".. why"),
        ("a.css a.s a.S", "/* why */"),
        ("a.ml", "(* why *)"),
        ("a.html a.vue a.md a.xml", "<!-- why -->"),
    ],
)
def test_a_comment_has_the_marks_of_its_language(names: str, expected: str) -> None:
    assert {name: commented(["why"], PurePath(name)) for name in names.split()} == {
        name: [expected] for name in names.split()
    }


def test_without_a_name_a_comment_begins_with_a_hash() -> None:
    assert commented(["why", ""], None) == ["# why", "#"]


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("a.css", "all */ of */ it", "/* all * / of * / it */"),
        ("a.css", "/* why */", "/* / * why * / */"),
        ("a.css", "**//", "/* ** // */"),
        ("a.html", "a --> b", "<!-- a - -> b -->"),
        ("a.html", "a --!> b ---", "<!-- a - -!> b - - - -->"),
        ("a.ml", 'a *) "b', "(* a * ) 'b *)"),
        ("a.ml", "(* a", "(* ( * a *)"),
        ("a.php", "print ?> here", "// print ? > here"),
        ("a.c", "a \\", "// a"),
        ("a.cpp", "a \\\\ \t", "// a"),
        ("Makefile", "a \\", "# a"),
        ("a.c", "a \\ b */", "// a \\ b */"),
        ("a.vb", "a _", "' a"),
        ("a.bat", "a ^", "REM a"),
        ("a.rst", "note:: a", ".. note: : a"),
    ],
)
def test_no_text_ends_its_comment_early_or_goes_on_in_the_next_line(
    name: str, line: str, expected: str
) -> None:
    assert commented([line], PurePath(name)) == [expected]


def test_lines_that_are_comments_already_end_with_the_last_mark() -> None:
    for line in ("*/", "*" * 3 + "/", "/*/", "a*/b*/"):
        (comment,) = commented([line], PurePath("a.css"))
        assert comment.index("*/") == len(comment) - 2
