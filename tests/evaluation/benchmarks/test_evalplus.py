"""HumanEval+ and MBPP+ load in both of their formats, and their tests decide without numpy."""

from typing import Any

import pytest

from incoder.evaluation.benchmark import INFILL
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.evaluation.execution import Limits
from incoder.evaluation.judging import judge

HELPERS = """import numpy as np

def is_floats(x) -> bool:
    if isinstance(x, float):
        return True
    if isinstance(x, (list, tuple)):
        return all(isinstance(i, float) for i in x)
    if isinstance(x, np.ndarray):
        return x.dtype == np.float64 or x.dtype == np.float32
    return False

def assertion(out, exp, atol):
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if out != exp and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert out == exp

"""
LOOP = """    inputs = [[3], [5]]
    results = [1.5, 2.5]
    for inp, exp in zip(inputs, results):
        assertion({name}(*inp), exp, 0)
"""
HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": "def half(n):\n",
    "entry_point": "half",
    "canonical_solution": "    return n / 2\n",
}
HUMANEVAL_ROWS = [
    HUMANEVAL | {"test": HELPERS + "def check(candidate):\n" + LOOP.format(name="candidate")},
    HUMANEVAL | {"contract": "", "base_input": [[3]], "plus_input": [[5], [0]], "atol": 0},
]
MBPP_ROWS = [
    {
        "task_id": 2,
        "code": "def half(n):\n    return n / 2",
        "prompt": "Write a function to halve a number.",
        "test_imports": ["import math"],
        "test_list": ["assert half(3) == 1.5"],
        "test": HELPERS + LOOP.format(name="half").replace("\n    ", "\n").strip(),
    },
    {
        "task_id": "Mbpp/2",
        "prompt": '"""\nWrite a function to halve a number.\nassert half(3) == 1.5\n"""\n',
        "entry_point": "half",
        "canonical_solution": "def half(n):\n    return n / 2",
        "contract": "",
        "assertion": "",
        "base_input": [[3]],
        "plus_input": [[5], [0]],
        "atol": 0,
    },
]


def passed(benchmark: str, row: dict[str, Any], *completions: str) -> list[float]:
    task = BENCHMARKS[benchmark].read(row, 1)
    assert task is not None
    (judged,) = judge([task], {task.key: completions}, Limits(seconds=20.0))
    return [sample["rates"]["pass_rate"] for sample in judged["samples"]]


@pytest.mark.parametrize("row", HUMANEVAL_ROWS, ids=["hub", "own"])
def test_humaneval_plus_decides_by_all_inputs_and_forgives_the_last_digits(row: dict[str, Any]) -> None:
    bodies = ("n / 2", "n * 0.5 + 1e-9", "1.5", "n // 2", "None")
    completions = [f"    return {body}\n" for body in bodies]
    assert passed("humaneval", row, *completions) == [1, 1, 0, 0, 0]


@pytest.mark.parametrize("row", MBPP_ROWS, ids=["hub", "own"])
def test_mbpp_plus_shows_the_sentence_with_a_test_and_decides_by_all_inputs(row: dict[str, Any]) -> None:
    task = BENCHMARKS["mbpp"].read(row, 1)
    assert task is not None
    assert task.key == "Mbpp/2"
    shown = '"""\nWrite a function to halve a number.\nassert half(3) == 1.5\n"""\n'
    assert task.prompt_for(INFILL).parts == (shown, "")
    bodies = ("n / 2", "n * 0.5 + 1e-9 * (n > 3)", "1.5")
    completions = [f"def half(n):\n    return {body}\n" for body in bodies]
    assert passed("mbpp", row, task.baselines["gold"], *completions) == [1, 1, 1, 0]


def test_problems_without_one_right_output_are_compared_as_evalplus_does() -> None:
    sets = MBPP_ROWS[1] | {
        "entry_point": "similar_elements",
        "canonical_solution": "def similar_elements(a, b):\n    return tuple(set(a) & set(b))",
        "base_input": [[[3, 4, 5], [5, 4, 9]]],
        "plus_input": [],
    }
    reordered = "def similar_elements(a, b):\n    return [x for x in reversed(a) if x in b]"
    assert passed("mbpp", sets, reordered, reordered.replace("in b", "in a")) == [1, 0]
    poly = "def poly(xs, x):\n    return sum(c * x**i for i, c in enumerate(xs))\n\n"
    roots = HUMANEVAL | {
        "prompt": poly + "def find_zero(xs):\n",
        "entry_point": "find_zero",
        "canonical_solution": "    return -xs[0] / xs[1]\n",
        "base_input": [[[1, 2]]],
        "plus_input": [],
        "atol": 1e-4,
    }
    assert passed("humaneval", roots, "    return -0.50001\n", "    return 0.5\n") == [1, 0]


def test_a_row_without_inputs_says_which_are_missing() -> None:
    with pytest.raises(ValueError, match="base_input, plus_input: must be lists"):
        BENCHMARKS["humaneval"].read(HUMANEVAL | {"plus_input": [[1]]}, 1)


@pytest.mark.parametrize("field", ["prompt", "canonical_solution"])
def test_a_row_of_inputs_without_a_text_names_the_field(field: str) -> None:
    row: dict[str, object] = {"plus_input": [[5]], "base_input": [[3]], **HUMANEVAL}
    del row[field]
    with pytest.raises(ValueError, match=f"^{field}: Field required"):
        BENCHMARKS["humaneval"].read(row, 1)
