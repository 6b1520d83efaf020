"""Holes where Python's syntax is, and rows with less than the whole file around them."""

from random import Random

import pytest

from incoder.evaluation.benchmark import INFILL, LEFT_TO_RIGHT
from incoder.evaluation.benchmarks.own_code import CodeHole
from incoder.evaluation.building.holes import with_context
from incoder.evaluation.building.python_holes import PYTHON_FILE_BUILDERS
from incoder.evaluation.building.source_files import SourceText

TEXT = """\
class Größe:
    @staticmethod
    def add(first, second=None):
        if first: return 1
        for each in (
            first,
        ):
            print(each, sep="größe", end=str(
                second))
        try:
            pass
        except ValueError:
            raise
"""


def holes(kind: str, text: str = TEXT, language: str = "Python") -> set[str]:
    found = set()
    for seed in range(60):
        for row in PYTHON_FILE_BUILDERS[kind](SourceText("a.py", language, text), Random(seed)):
            assert row["prefix"] + row["middle"] + row["suffix"] == text
            found.add(row["middle"])
    return found


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n")])
def test_block_openers_are_the_lines_before_a_block(text: str) -> None:
    assert {line.strip() for line in holes("block-opener", text)} == {
        "class Größe:",
        "def add(first, second=None):",
        "):",
        "try:",
        "except ValueError:",
    } - {"):"}  # too short to say something


def test_arguments_are_values_on_one_line() -> None:
    assert holes("argument") == {"each", '"größe"', "second"}


def test_names_are_variables_of_three_letters_or_more() -> None:
    assert holes("name") == {"staticmethod", "first", "each", "print", "str", "second", "ValueError"}


@pytest.mark.parametrize("kind", PYTHON_FILE_BUILDERS)
def test_other_languages_and_broken_files_have_none(kind: str) -> None:
    assert holes(kind, "def f(:\n    pass\n") == set()
    assert holes(kind, TEXT, "Ruby") == set()
    assert holes(kind, "") == set()


def test_holes_on_one_line_have_ids_of_their_own() -> None:
    text = "call(first, second, third)\n" * 60
    rows = PYTHON_FILE_BUILDERS["name"](SourceText("a.py", "Python", text), Random(0))
    assert len({row["task_id"] for row in rows}) == len(rows) == 2
    assert all(row["task_id"].count(":") == 2 for row in rows)


def test_with_a_context_a_row_has_whole_lines_around_its_hole() -> None:
    lines = [f"line{number:03}\n" for number in range(100)]
    row = {"prefix": "".join(lines[:50]) + "x = ", "middle": "1", "suffix": "\n" + "".join(lines[50:])}
    cut = with_context(row, 40)
    assert cut["prefix"] == "".join(lines[45:50]) + "x = "
    assert cut["suffix"] == "\n" + "".join(lines[50:53])
    assert with_context(row, 10_000) == row


def hole(middle: str, suffix: str) -> CodeHole:
    return CodeHole(
        task_id="a:1", path="a.py", language="python", prefix="x = f(", middle=middle, suffix=suffix
    )


def test_left_to_right_is_given_the_characters_of_a_hole_inside_a_line() -> None:
    inside, at_end = hole("abc", ", d)\n"), hole("abc)", "\nx = 2\n")
    assert inside.completion(["abcde\nf"], LEFT_TO_RIGHT) == "abc"
    assert inside.completion(["abcde"], INFILL) == "abcde"
    assert at_end.completion(["abcde\nf"], LEFT_TO_RIGHT) == "abcde"
    assert inside.can_go_left_to_right
    assert inside.max_lines == at_end.max_lines == 1
