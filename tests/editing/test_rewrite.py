from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import pytest

from incoder.editing.edits import apply_edits
from incoder.editing.required_definitions import required_definitions
from incoder.editing.rewrite import UNCHANGED, rewrite_lines
from incoder.request import InfillRequest

TEXT = "def loss(a, b):\n    d = a - b\n    return d * d\n"
SPAN = (TEXT.index("    d = "), len(TEXT))
PATH = PurePath("loss.py")
Script = Callable[..., Any]


def test_the_model_sees_both_sides_and_the_comment_in_the_language_of_the_file(scripted: Script) -> None:
    for path, mark in (("a.py", "#"), ("a.js", "//"), ("a.sql", "--")):
        model = scripted(["return abs(a - b)"])
        rewrite_lines(model, TEXT, SPAN, InfillRequest(), comment="a Huber loss", path=PurePath(path))
        assert model.asked == [[f"def loss(a, b):\n    {mark} a Huber loss\n    ", "\n"]]


def test_the_comment_goes_unless_it_is_kept(scripted: Script) -> None:
    new = {}
    for keep in (False, True):
        model = scripted(["return abs(a - b)"])
        (candidate,) = rewrite_lines(
            model, TEXT, SPAN, InfillRequest(), comment="absolute", keep_comment=keep, path=PATH
        )
        new[keep] = apply_edits(TEXT, candidate.edits)
    assert new[False] == "def loss(a, b):\n    return abs(a - b)\n"
    assert new[True] == "def loss(a, b):\n    # absolute\n    return abs(a - b)\n"


def test_a_comment_of_several_lines_is_commented_line_by_line(scripted: Script) -> None:
    model = scripted(["pass"])
    rewrite_lines(model, TEXT, SPAN, InfillRequest(), comment="one\ntwo", path=PATH)
    assert model.asked[0][0] == "def loss(a, b):\n    # one\n    # two\n    "


def test_candidates_that_do_not_parse_come_last_and_the_old_lines_are_no_change(scripted: Script) -> None:
    model = scripted(["return (", "d = a - b\n    return d * d", "return a", ""])
    found = rewrite_lines(model, TEXT, SPAN, InfillRequest(), path=PATH)
    assert [apply_edits(TEXT, one.edits) for one in found[:1]] == ["def loss(a, b):\n    return a\n"]
    problems = [one.problem or "" for one in found]
    assert problems[0] == ""
    assert {UNCHANGED} < {*problems}
    assert sum(problem.startswith("does not parse") for problem in problems) == 2


def test_an_empty_fill_takes_the_lines_away(scripted: Script) -> None:
    span = (SPAN[0], TEXT.index("    return"))
    (candidate,) = rewrite_lines(scripted([""]), TEXT, span, InfillRequest(), path=PATH)
    assert apply_edits(TEXT, candidate.edits) == "def loss(a, b):\n    return d * d\n"


def test_an_empty_fill_is_no_answer_to_a_comment(scripted: Script) -> None:
    span = (SPAN[0], TEXT.index("    return"))
    (candidate,) = rewrite_lines(scripted([""]), TEXT, span, InfillRequest(), comment="absolute", path=PATH)
    assert candidate.problem == "writes nothing"


def test_line_ends_of_the_file_stay(scripted: Script) -> None:
    text = TEXT.replace("\n", "\r\n")
    span = (text.index("    d = "), len(text))
    (candidate,) = rewrite_lines(
        scripted(["return a"]), text, span, InfillRequest(), comment="x", keep_comment=True, path=PATH
    )
    assert apply_edits(text, candidate.edits) == "def loss(a, b):\r\n    # x\r\n    return a\r\n"


def test_one_line_ends_where_the_line_does(scripted: Script) -> None:
    span = (SPAN[0], TEXT.index("    return"))
    (candidate,) = rewrite_lines(
        scripted(["d = b - a\n    more = 1"]), TEXT, span, InfillRequest(), is_one_line=True, path=PATH
    )
    assert candidate.edits[0].text == "    d = b - a\n"


def test_a_fill_that_begins_with_the_indentation_of_its_line_is_not_indented_twice(scripted: Script) -> None:
    for fill in ("return a", "    return a"):
        (candidate,) = rewrite_lines(scripted([fill]), TEXT, SPAN, InfillRequest(), path=PATH)
        assert candidate.edits[0].text == "    return a\n"


TABLE = '''"""Tables."""


def measure_table(rows, padding=1):
    """The widths of the columns."""
    return [max(len(cell) for cell in column) + padding for column in zip(*rows)]


WIDTHS = measure_table([["a"]])
'''
FUNCTION = (TABLE.index("def "), TABLE.index("\n\n\nWIDTHS") + 1)


def problems(written: list[str], request: str, scripted: Script, *, named: str | None) -> list[str | None]:
    required = required_definitions(TABLE, FUNCTION, named=named, request=request)
    found = rewrite_lines(
        scripted(written), TABLE, FUNCTION, InfillRequest(), comment=request, required=required, path=PATH
    )
    return [one.problem for one in found]


@pytest.mark.parametrize("named", ["measure_table", None])
def test_a_function_does_not_vanish(named: str | None, scripted: Script) -> None:
    request = "return the largest width only"
    written = [
        "FORCED_WIDTH: int | None = None",
        "class measure_table: ...",
        "def measure(rows, padding): ...",
    ]
    assert problems(written, request, scripted, named=named) == [
        "loses the function measure_table",
        "loses the function measure_table (which is now a class)",
        "loses the function measure_table",
    ]
    assert problems(["async def measure_table(rows, padding): ..."], request, scripted, named=named) == [None]


@pytest.mark.parametrize(
    ("header", "request_words", "problem"),
    [
        ("rows", "the largest", "loses the parameter padding of measure_table"),
        ("cells", "the largest", "loses the parameters rows, padding of measure_table"),
        ("rows, padding=2, *, limit=None", "the largest", None),
        ("rows", "do without padding", None),
        ("cells, padding", "take cells in place of rows", None),
        ("cells", "other parameters", None),
    ],
)
def test_parameters_stay_unless_the_request_speaks_of_them(
    header: str, request_words: str, problem: str | None, scripted: Script
) -> None:
    written = [f"def measure_table({header}): ..."]
    assert problems(written, request_words, scripted, named="measure_table") == [problem]


def test_lines_may_lose_what_the_rest_does_not_use_or_the_request_removes() -> None:
    text = "def used(): ...\ndef unused(): ...\nused()\n"
    span = (0, text.index("used()\n"))
    assert [one.name for one in required_definitions(text, span, named=None)] == ["used"]
    assert required_definitions(text, span, named=None, request="remove both") == ()
    assert required_definitions(text + ")", span, named=None) == ()


UTILS = "export function pick(items) {\n  return items.map((item) => {\n    return item.id;\n  });\n}\n"


def test_lines_of_javascript_are_not_replaced_by_what_does_not_parse(scripted: Script) -> None:
    path, span = PurePath("utils.js"), (UTILS.index("  return items"), UTILS.index("}\n", UTILS.index("});")))
    written = ["  }", "return items.map((item) => item.id);"]
    found = rewrite_lines(scripted(written), UTILS, span, InfillRequest(), comment="shorter", path=path)
    assert [one.problem for one in found] == [None, "does not parse: } in line 3 closes nothing"]


def test_a_text_that_did_not_parse_need_not_parse_afterwards(scripted: Script) -> None:
    text = TEXT + "def ("
    (found,) = rewrite_lines(
        scripted(["return a"]), text, SPAN, InfillRequest(), comment="x", must_parse=False, path=PATH
    )
    assert found.problem is None


@pytest.mark.parametrize(
    ("name", "comment"), [("a.py", "# x\n    # y"), ("a.js", "// x"), ("a.css", "/* x */")]
)
def test_code_is_not_replaced_by_a_comment_alone(name: str, comment: str, scripted: Script) -> None:
    text = "  a: b;\n"
    (found,) = rewrite_lines(
        scripted([comment]), text, (0, len(text)), InfillRequest(), must_parse=False, path=PurePath(name)
    )
    assert found.problem == "writes only a comment"


def test_a_comment_may_be_replaced_by_a_comment(scripted: Script) -> None:
    text = "# old\nx = 1\n"
    (found,) = rewrite_lines(scripted(["# new"]), text, (0, 6), InfillRequest(), comment="shorter", path=PATH)
    assert found.problem is None
