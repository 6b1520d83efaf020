"""Rows of types, names, cloze and docstrings: their prompts, and how completions are judged."""

from typing import Any

import pytest

from incoder.evaluation.benchmark import INFILL, LEFT_TO_RIGHT, Benchmark, Task
from incoder.evaluation.benchmarks import cloze, docstrings, return_types, variable_names

(TYPES,), (NAMES,) = return_types.BENCHMARKS, variable_names.BENCHMARKS
(CLOZE,), (DOCSTRINGS,) = cloze.BENCHMARKS, docstrings.BENCHMARKS

TYPE = {
    "task_id": "a.py:f",
    "project": "a",
    "prefix": "def f(x) -> ",
    "suffix": ":\n    return {x: 1}\n",
    "return_type": "Dict[str,int]",
    "returns_value": True,
}
NAME = {
    "task_id": "a.py:f:total",
    "project": "a",
    "parts": ["def f(xs):\n    ", " = sum(xs)\n    return ", "\n"],
    "variable": "total",
}
CHOICE = {
    "task_id": "a.py:f",
    "project": "a",
    "prefix": "longest = ",
    "suffix": "(map(len, xs))\n",
    "answer": "max",
}
DOCSTRING = {
    "repo": "a/b",
    "path": "a.py",
    "func_name": "f",
    "url": "https://example.com/a.py#L1",
    "code": "def f(x):\n    '''Größe of x.\n\n    Long.'''\n    return len(x)",
    "docstring_tokens": ["Größe", "of", "x", "."],
    "partition": "test",
}


def read(benchmark: Benchmark, row: dict[str, Any]) -> Task:
    task = benchmark.read(row, 1)
    assert task is not None
    return task


@pytest.mark.parametrize(
    ("benchmark", "row"), [(TYPES, TYPE), (NAMES, NAME), (CLOZE, CHOICE), (DOCSTRINGS, DOCSTRING)]
)
def test_gold_is_right_and_nothing_is_wrong(benchmark: Benchmark, row: dict[str, Any]) -> None:
    task = read(benchmark, row)
    assert task.rates(task.baselines["gold"])[benchmark.headline] == pytest.approx(1)
    nothing = task.rates(task.baselines["empty"])[benchmark.headline]
    assert nothing is not None
    assert nothing < 0.03


def test_types_are_compared_as_expressions() -> None:
    task = read(TYPES, TYPE)
    assert task.completion([" Dict[ str, int ]:\n"], INFILL) == "Dict[ str, int ]"
    assert task.rates("Dict[ str, int ]")["accuracy"] == 1
    assert task.rates("dict[str, int]")["accuracy"] == 0
    assert task.rates("Dict[str,")["accuracy"] == 0


def test_a_function_without_a_value_is_of_type_none_by_rule() -> None:
    task = read(TYPES, TYPE | {"return_type": "None", "returns_value": False})
    rates = {"accuracy": 0, "accuracy_not_none": None, "accuracy_none_rule": 1}
    assert task.rates("int") == rates
    missed = read(TYPES, TYPE | {"returns_value": False})
    assert missed.rates("Dict[str, int]")["accuracy_none_rule"] == 0


def test_names_are_voted_for() -> None:
    task = read(NAMES, NAME)
    assert task.completion(["count", " total\n", "total + 1", ""], INFILL) == "total"
    assert task.completion(["b", "a"], INFILL) == "b"
    assert task.completion(["= 1"], LEFT_TO_RIGHT) == ""
    assert task.full_text("n") == "def f(xs):\n    n = sum(xs)\n    return n\n"


def test_a_docstring_is_asked_for_as_the_authors_did() -> None:
    prompt = read(DOCSTRINGS, DOCSTRING).prompt_for(INFILL)
    assert prompt.parts == ('def f(x):\n    """', "\n    return len(x)\n<|/ file |>")
    assert prompt.stop == ('"""',)


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        (
            "def f(x):\n    # why\n    '''Größe.'''\n    print x\n",
            ("def f(x):\n    # why\n    ", "\n    print x\n"),
        ),
        (
            "@d\ndef f((a, b),\n      c):\n    'One'  # !\n    raise E, a\n",
            ("@d\ndef f((a, b),\n      c):\n    ", "  # !\n    raise E, a\n"),
        ),
        ("def f(x):\n    ur'''One'''\n    print x\n", None),
        ("def f(x):\n    'One' % x\n    print x\n", None),
        ("def f(x):\n    print x\n    'One'\n", None),
        ("def f(x): print x\n", None),
        ("def f(x:\n    'One'\n", None),
    ],
)
def test_python_2_shows_its_docstring_by_tokens_or_is_left_out(
    code: str, parts: tuple[str, str] | None
) -> None:
    assert docstrings.split_at_docstring(code) == parts
    task = DOCSTRINGS.read(DOCSTRING | {"code": code}, 1)
    assert (task is None) == (parts is None)


def test_only_the_first_line_of_a_docstring_counts() -> None:
    task = read(DOCSTRINGS, DOCSTRING)
    assert task.completion(["\n    Size of x.  \n\n    More.\n"], INFILL) == "Size of x."


@pytest.mark.parametrize(
    ("benchmark", "row", "message"),
    [
        (TYPES, TYPE | {"prefix": 3}, "prefix: "),
        (NAMES, NAME | {"parts": ["x"]}, "parts: needs at least 2"),
        (CLOZE, CHOICE | {"answer": "mean"}, "answer: "),
        (DOCSTRINGS, DOCSTRING | {"code": "x = 1"}, "not one function"),
        (DOCSTRINGS, {}, "repo: "),
    ],
)
def test_a_broken_row_says_which_field_is_wrong(
    benchmark: Benchmark, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        benchmark.read(row, 1)
