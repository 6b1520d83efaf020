from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from incoder.tasks.edits import apply
from incoder.tasks.model import Decoding
from incoder.tasks.regeneration import UNCHANGED, regenerate

TEXT = "def loss(a, b):\n    d = a - b\n    return d * d\n"
SPAN = (TEXT.index("    d = "), len(TEXT))
PATH = PurePath("loss.py")
Script = Callable[..., Any]


def test_the_model_sees_both_sides_and_the_comment_in_the_language_of_the_file(scripted: Script) -> None:
    for path, mark in (("a.py", "#"), ("a.js", "//"), ("a.sql", "--")):
        model = scripted(["return abs(a - b)"])
        regenerate(model, TEXT, SPAN, Decoding(), comment="a Huber loss", path=PurePath(path))
        assert model.asked == [[f"def loss(a, b):\n    {mark} a Huber loss\n    ", "\n"]]


def test_the_comment_goes_unless_it_is_kept(scripted: Script) -> None:
    new = {}
    for keep in (False, True):
        model = scripted(["return abs(a - b)"])
        (candidate,) = regenerate(
            model, TEXT, SPAN, Decoding(), comment="absolute", keep_comment=keep, path=PATH
        )
        new[keep] = apply(TEXT, candidate.edits)
    assert new[False] == "def loss(a, b):\n    return abs(a - b)\n"
    assert new[True] == "def loss(a, b):\n    # absolute\n    return abs(a - b)\n"


def test_a_comment_of_several_lines_is_commented_line_by_line(scripted: Script) -> None:
    model = scripted(["pass"])
    regenerate(model, TEXT, SPAN, Decoding(), comment="one\ntwo", path=PATH)
    assert model.asked[0][0] == "def loss(a, b):\n    # one\n    # two\n    "


def test_what_does_not_parse_comes_after_what_does_and_what_was_there_is_no_change(scripted: Script) -> None:
    model = scripted(["return (", "d = a - b\n    return d * d", "return a", ""])
    found = regenerate(model, TEXT, SPAN, Decoding(), path=PATH)
    assert [apply(TEXT, one.edits) for one in found[:1]] == ["def loss(a, b):\n    return a\n"]
    problems = [one.problem or "" for one in found]
    assert problems[0] == ""
    assert {UNCHANGED} < {*problems}
    assert sum(problem.startswith("does not parse") for problem in problems) == 2


def test_an_empty_fill_takes_the_lines_away(scripted: Script) -> None:
    span = (SPAN[0], TEXT.index("    return"))
    (candidate,) = regenerate(scripted([""]), TEXT, span, Decoding(), path=PATH)
    assert apply(TEXT, candidate.edits) == "def loss(a, b):\n    return d * d\n"


def test_an_empty_fill_is_no_answer_to_a_comment(scripted: Script) -> None:
    span = (SPAN[0], TEXT.index("    return"))
    (candidate,) = regenerate(scripted([""]), TEXT, span, Decoding(), comment="absolute", path=PATH)
    assert candidate.problem == "writes nothing"


def test_line_ends_of_the_file_stay(scripted: Script) -> None:
    text = TEXT.replace("\n", "\r\n")
    span = (text.index("    d = "), len(text))
    (candidate,) = regenerate(
        scripted(["return a"]), text, span, Decoding(), comment="x", keep_comment=True, path=PATH
    )
    assert apply(text, candidate.edits) == "def loss(a, b):\r\n    # x\r\n    return a\r\n"


def test_one_line_ends_where_the_line_does(scripted: Script) -> None:
    span = (SPAN[0], TEXT.index("    return"))
    (candidate,) = regenerate(
        scripted(["d = b - a\n    more = 1"]), TEXT, span, Decoding(), is_one_line=True, path=PATH
    )
    assert candidate.edits[0].text == "    d = b - a\n"


def test_a_fill_that_begins_with_the_indentation_of_its_line_is_not_indented_twice(scripted: Script) -> None:
    for fill in ("return a", "    return a"):
        (candidate,) = regenerate(scripted([fill]), TEXT, SPAN, Decoding(), path=PATH)
        assert candidate.edits[0].text == "    return a\n"
