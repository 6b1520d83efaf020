"""Selections of a part of a file, and the errors if there is no such part."""

import pytest

from incoder.editing.lines import Lines, line_end
from incoder.editing.python_source import PythonSource, python_syntax_error
from incoder.editing.selection import Selection, parse_lines
from incoder.errors import IncoderError

TEXT = """import os


class Counter:
    def __init__(self):
        self.count = 0

    @property
    def double(self):
        return 2 * self.count


class Other:
    def double(self):
        def inner():
            return 1
        return inner()
"""


def test_a_method_is_found_by_its_whole_name_or_by_its_end_where_that_is_one() -> None:
    source = PythonSource(TEXT)
    assert source.find_one("Other.double").node.lineno == 14
    assert source.find_one("inner").name == "Other.double.inner"


def test_an_ambiguous_name_lists_what_it_may_mean() -> None:
    with pytest.raises(IncoderError, match=r"Counter\.double in line 9, Other\.double in line 14"):
        PythonSource(TEXT).find_one("double")


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(IncoderError, match=r"no function or class meen .* Counter, Counter\.__init__"):
        PythonSource(TEXT).find_one("meen")


def test_lines_mean_the_definitions_that_begin_in_them_or_the_innermost_around() -> None:
    source = PythonSource(TEXT)
    assert [str(one) for one in Selection(lines=(4, 6)).definitions(source)] == [
        "class Counter",
        "method Counter.__init__",
    ]
    assert [str(one) for one in Selection(lines=(16, 16)).definitions(source)] == [
        "function Other.double.inner"
    ]
    with pytest.raises(IncoderError, match="no function or class in the lines 1:2"):
        Selection(lines=(1, 2)).definitions(source)


def test_a_decorator_belongs_to_its_definition() -> None:
    source = PythonSource(TEXT)
    start, end = source.span(source.find_one("Counter.double"))
    assert TEXT[start:end] == "    @property\n    def double(self):\n        return 2 * self.count\n"


@pytest.mark.parametrize(("given", "lines"), [("10:20", (10, 20)), ("7", (7, 7)), ("3-4", (3, 4))])
def test_lines_are_given_as_first_and_last(given: str, lines: tuple[int, int]) -> None:
    assert parse_lines(given) == lines


@pytest.mark.parametrize("given", ["", "a:b", "1:2:3", ":4", "-3"])
def test_lines_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(IncoderError, match="FIRST:LAST"):
        parse_lines(given)


@pytest.mark.parametrize(("lines", "said"), [((0, 1), "from 1"), ((3, 2), "from 1"), ((2, 99), "no line 99")])
def test_lines_out_of_the_file_are_refused(lines: tuple[int, int], said: str) -> None:
    with pytest.raises(IncoderError, match=said):
        Selection(lines=lines).span(TEXT)


def test_two_selections_at_once_are_refused() -> None:
    with pytest.raises(IncoderError, match="exclude each other"):
        Selection.parse("1:2", "main", False)


def test_lines_end_as_python_says() -> None:
    text = "a\r\nb\rc\fd\ne"
    lines = Lines(text)
    assert len(lines) == 4
    assert [text[slice(*lines.span(number, number))] for number in range(1, 5)] == [
        "a\r\n",
        "b\r",
        "c\fd\n",
        "e",
    ]
    assert [lines.number(place) for place in (0, 2, 3, 5, 9)] == [1, 1, 2, 3, 4]


def test_a_file_has_the_line_end_of_most_of_its_lines() -> None:
    assert (line_end("a\r\nb\r\nc\n"), line_end("a\r\nb\nc\n"), line_end("")) == ("\r\n", "\n", "\n")


def test_places_count_byte_order_marks_wide_characters_and_bytes_that_are_no_text() -> None:
    text = "\ufeffx = '漢'; y = 1\r\ns = '\udce9'; z = 2\n"
    source = PythonSource(text)
    assert [text[source.start(node) :][:1] for node in source.tree.body] == ["x", "y", "s", "z"]
    assert [text[: source.end(node)][-1] for node in source.tree.body] == ["'", "1", "'", "2"]


def test_a_syntax_error_is_reported_with_its_line() -> None:
    with pytest.raises(IncoderError, match=r"line 2"):
        PythonSource("x = 1\ndef f(:\n")
    assert "line 1" in (python_syntax_error("return 1\n") or "")  # parses, and does not compile
    assert python_syntax_error("x = '\\d'\n") is None
    assert python_syntax_error("x = \0\n")
    assert python_syntax_error("(" * 5000)
