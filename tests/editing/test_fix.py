from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from incoder.editing.edits import apply_edits
from incoder.editing.fix import fix
from incoder.editing.test_run.runner import Outcome
from incoder.request import InfillRequest

TEXT = "def area(a, b):\n    c = a\n    return c + b\n"
PATH = PurePath("area.py")
FIRST, SECOND = (TEXT.index("    c"), TEXT.index("    return")), (TEXT.index("    return"), len(TEXT))
Script = Callable[..., Any]


def judge(tried: list[str], passing: str) -> Callable[[str], Outcome]:
    def run(text: str) -> Outcome:
        tried.append(text)
        return Outcome(None if passing in text else "the command fails with status 1", "")

    return run


def test_the_first_candidate_with_which_the_command_passes_is_used(scripted: Script) -> None:
    tried: list[str] = []
    model = scripted(["return c - b", "return c * b", "return c / b"])
    (change,) = fix(model, TEXT, [SECOND], InfillRequest(), run=judge(tried, "c * b"), path=PATH)
    assert apply_edits(TEXT, change.edits) == "def area(a, b):\n    c = a\n    return c * b\n"
    assert [text.split()[-3:] for text in tried] == [["c", "-", "b"], ["c", "*", "b"]]
    assert change.place == "line 3"


def test_spans_are_worked_on_in_turn_and_each_has_its_own_candidates(scripted: Script) -> None:
    model = scripted(["c = b", "c = ("], ["return c * b"])
    changes = fix(model, TEXT, [FIRST, SECOND], InfillRequest(), run=judge([], "c * b"), path=PATH)
    assert [(change.place, len(change.candidates)) for change in changes] == [("line 2", 2), ("line 3", 1)]
    assert changes[0].used is None
    assert changes[0].candidates[0].problem == "the command fails with status 1"
    assert "return c * b" in apply_edits(TEXT, changes[1].edits)


def test_no_more_tries_than_allowed_are_made(scripted: Script) -> None:
    tried: list[str] = []
    model = scripted([f"return {number}" for number in range(9)], ["c = 1"])
    (change,) = fix(
        model, TEXT, [SECOND, FIRST], InfillRequest(), run=judge(tried, "never"), max_tries=4, path=PATH
    )
    assert change.used is None
    assert len(tried) == 4
    assert [one.problem for one in change.candidates][4:] == ["was not tried: no tries are left"] * 5
    assert len(model.asked) == 1


def test_without_a_command_a_candidate_must_only_parse(scripted: Script) -> None:
    broken = "def area(a, b:\n    return a * b\n"
    model = scripted(["def area(a, b]:", "def area(a, b):"])
    (change,) = fix(model, broken, [(0, broken.index("    "))], InfillRequest(), path=PATH)
    assert apply_edits(broken, change.edits) == "def area(a, b):\n    return a * b\n"


def test_a_candidate_that_does_not_parse_is_neither_run_nor_counted(scripted: Script) -> None:
    tried: list[str] = []
    model = scripted(["return (", "return [", "return c * b"])
    (change,) = fix(model, TEXT, [SECOND], InfillRequest(), run=judge(tried, "*"), max_tries=1, path=PATH)
    assert len(tried) == 1
    assert change.used is not None


def test_a_function_that_the_rest_uses_is_not_lost_but_a_parameter_may_be(scripted: Script) -> None:
    text = "def area(a, c):\n    return a * b\n\n\nprint(area(1, 2))\n"
    model = scripted(["def volume(a, b):", "def area(a, b):"])
    (change,) = fix(model, text, [(0, text.index("    "))], InfillRequest(), path=PATH)
    assert [one.problem for one in change.candidates] == [None, "loses the function area"]
    assert apply_edits(text, change.edits).startswith("def area(a, b):\n")


def test_the_named_function_is_not_lost(scripted: Script) -> None:
    (change,) = fix(scripted(["x = 1"]), TEXT, [(0, len(TEXT))], InfillRequest(), function="area", path=PATH)
    assert [one.problem for one in change.candidates] == ["loses the function area"]


def test_in_another_language_only_the_command_judges_a_text_that_did_not_parse(scripted: Script) -> None:
    broken = "function f() {\n  return (1;\n}\n"
    span, path = (broken.index("  return"), broken.index("}")), PurePath("f.js")
    (change,) = fix(scripted(["return [1;"]), broken, [span], InfillRequest(), path=path)
    assert (change.candidates[0].problem or "").startswith("does not parse")
    (change,) = fix(scripted(["return [1;"]), broken, [span], InfillRequest(), run=judge([], "["), path=path)
    assert change.used is not None
