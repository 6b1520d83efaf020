"""What is open at a place of a text, in many languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.inference.syntax.languages import UNKNOWN, syntax_of
from incoder.inference.syntax.scanner import Mark, Place, last_place, scan

CHARACTERS = st.text(st.sampled_from("\"'`/*#<>!-$%{}()[]=\\\n abf"), max_size=30).map(str.encode)
PATHS = st.sampled_from(
    ["a.py", "a.js", "a.c", "a.cs", "a.lua", "a.sql", "a.html", "a.rb", "a.rs", "a.ex", "a.jl"]
)


@pytest.mark.parametrize(
    ("path", "text", "is_open"),
    [
        ("a.py", 'x = f(["a", \'it', ") ] '"),
        ("a.py", '"""It\'s "x" ', '"""'),
        ("a.py", "x = {'a': 1}\ny = '\nz = ", ""),
        ("a.py", "f\"{x['a']} {y", '" }'),
        ("a.py", 'f"{{x} {y}', '"'),
        ("a.py", 'rf"{y', '" }'),
        ("a.py", 'half"{y', '"'),
        ("a.py", "# it's (\nx", ""),
        ("a.js", '`a ${b(`c` + "x', '` } ) "'),
        ("a.js", "x = /[/\"]'/; y = 'a", "'"),
        ("a.js", "a = b / c; d = 'x", "'"),
        ("a.js", "// it's\nx = /* '", "*/"),
        ("a.c", "/* it's */ int x[] = {1, // don't", "} \n"),
        ("a.html", "<p>Don't <a href=\"x", '> "'),
        ("a.html", "<script>let x = 'a", "</script '"),
        ("a.html", "<script>let x = 'a'</script><p>it's", ""),
        ("a.html", "x < y <!-- it's", "-->"),
        ("a.rs", "fn f<'a>(x: &'a str) { if c == '\"' { \"abc", '} } "'),
        ("a.lua", "x = [[ it's ", "]]"),
        ("a.sql", "SELECT 'it''s', 'a", "'"),
        ("a.rb", 'puts "a #{b["c"]} d', '"'),
        ("a.sh", 'echo $# "a $(b "c', '" ) "'),
        ("a.kt", 'val x = "${a["b"]} c', '"'),
        ("a.md", "It's (so", ""),
        ("Makefile", "# it's\nall: $(", ")"),
    ],
)
def test_what_is_open_is_known_from_the_outside_in(path: str, text: str, is_open: str) -> None:
    stack = last_place(text.encode(), syntax_of(path)).stack
    assert " ".join(each.closing.decode() for each in stack) == is_open


def test_the_language_is_known_by_name_extension_or_first_line() -> None:
    assert syntax_of("src/a.PY") is syntax_of("b.pyi")
    assert syntax_of("Rakefile") is syntax_of("a.rb") is syntax_of(None, "#!/usr/bin/env ruby\n")
    assert syntax_of("run", "#!/bin/bash\n") is syntax_of(".bashrc") is syntax_of("a.sh")
    assert syntax_of(None, "<!DOCTYPE html>\n") is syntax_of("a.html")
    assert syntax_of("a.unknown", "x = 1\n") is syntax_of(None) is UNKNOWN


@given(path=PATHS, text=CHARACTERS, more=CHARACTERS)
def test_the_marks_of_a_text_are_the_first_ones_of_every_longer_text(
    path: str, text: bytes, more: bytes
) -> None:
    syntax = syntax_of(path)
    marks = list(scan(text, syntax, is_all=False))
    assert list(scan(text + more, syntax))[: len(marks)] == marks


@given(path=PATHS, text=CHARACTERS, data=st.data())
def test_a_text_can_be_read_on_from_any_mark(path: str, text: bytes, data: st.DataObject) -> None:
    syntax = syntax_of(path)
    marks = list(scan(text, syntax))
    start = data.draw(st.sampled_from([Mark(0, 0, b"", ()), *marks]))
    rest = list(scan(text, syntax, Place(start.end, start.stack)))
    assert rest == [mark for mark in marks if mark.start >= start.end]
