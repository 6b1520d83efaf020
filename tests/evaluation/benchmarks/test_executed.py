"""Benchmarks whose programs are executed: their prompts are the published ones, and right programs pass."""

import json
from pathlib import Path
from typing import Any

import pytest

from incoder.evaluation.benchmark import INFILL, LEFT_TO_RIGHT, Task
from incoder.evaluation.benchmark_files import load_tasks
from incoder.evaluation.benchmarks.bug_fixing import around_difference
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.evaluation.execution import Limits
from incoder.evaluation.judging import judge, summarise

SYNTAX_HOLE = {
    "task_id": "block_completion_1",
    "lang": "python",
    "prompt": "Add two numbers.\n\na, b = map(int, input().split())\n# TODO: Your code here\n",
    "eval_prompt": "import sys\na, b = map(int, input().split())\n{{completion}}\n",
    "ground_truth": "print(a + b)",
    "unit_tests": json.dumps(
        [{"input": "1 2\n", "output": ["3"]}, {"input": "4 5\n", "output": ["9\n", "8"]}]
    ),
}
FIX = {
    "task_id": "Python/0",
    "declaration": "def double(x):\n",
    "buggy_solution": "    y = x\n    y += 1\n    return y\n",
    "canonical_solution": "    y = x\n    y *= 2\n    return y\n",
    "test": "def check(double):\n    assert double(5) == 10\n\ncheck(double)",
    "entry_point": "double",
}


def task_of(benchmark: str, row: dict[str, Any]) -> Task:
    task = BENCHMARKS[benchmark].read(row, 1)
    assert task is not None
    return task


def pass_rate(task: Task, completion: str) -> Any:
    (row,) = judge([task], {task.key: [completion]}, Limits())
    return row["rates"]["pass_rate"]


def test_mbpp_is_asked_with_the_sentence_and_the_first_test(shared: Path) -> None:
    tasks = load_tasks(shared / "bench/mbpp/mbpp.jsonl", BENCHMARKS["mbpp"])
    assert [tasks[0].key, tasks[-1].key, len(tasks)] == ["MBPP/11", "MBPP/510", 500]
    prompt, suffix = tasks[0].prompt_for(LEFT_TO_RIGHT).parts
    first_test = 'assert remove_Occ("hello","l") == "heo"'
    sentence = (
        "Write a python function to remove first and last occurrence of a given character from the string."
    )
    assert prompt == f'"""\n{sentence}\n{first_test}\n"""\n'
    assert suffix == ""


def test_humaneval_goes_on_from_the_docstring(shared: Path) -> None:
    task = load_tasks(shared / "bench/human-eval/HumanEval.jsonl.gz", BENCHMARKS["humaneval"])[2]
    assert task.prompt_for(LEFT_TO_RIGHT).parts[0].endswith('    """\n')
    assert task.prompt_for(LEFT_TO_RIGHT).stop == ("\nclass", "\ndef", "\n#", "\nif")
    assert pass_rate(task, "    return number % 1.0\n") == 1
    assert pass_rate(task, "    return number\n") == 0


@pytest.mark.parametrize(
    ("one", "other", "around"),
    [
        ("a\nb\nc\n", "a\nx\nc\n", ("a\n", "c\n")),
        ("a\nc\n", "a\nb\nc\n", ("a\n", "c\n")),
        ("a\nb\nc\nd\ne\n", "a\nx\nc\ny\ne\n", ("a\n", "e\n")),
        ("a\na\n", "a\na\na\n", ("a\na\n", "")),
        ("a\n", "b\n", ("", "")),
    ],
)
def test_the_hole_is_all_that_differs(one: str, other: str, around: tuple[str, str]) -> None:
    assert around_difference(one, other) == around
    assert around_difference(other, one) == around


def test_a_bug_is_fixed_in_its_lines_alone() -> None:
    task = task_of("humanevalfix", FIX)
    assert task.prompt_for(INFILL).parts == ("def double(x):\n    y = x\n", "    return y\n")
    assert task.baselines == {"gold": "    y *= 2\n", "empty": "", "buggy": "    y += 1\n"}
    assert task.completion(["    y += x\n    return 0\n"], LEFT_TO_RIGHT) == "    y += x\n"
    assert [pass_rate(task, text) for text in ("    y += x\n", "    y += 1\n")] == [1, 0]


def test_tests_that_do_not_call_check_are_called() -> None:
    task = task_of("humanevalfix", FIX | {"test": "def check(f):\n    assert f(5) == 10\n"})
    assert [pass_rate(task, text) for text in ("    y += x\n", "    y += 1\n")] == [1, 0]


def test_safim_compares_what_is_printed_but_for_white_space() -> None:
    task = task_of("safim", SYNTAX_HOLE)
    assert task.prompt_for(INFILL).parts == (SYNTAX_HOLE["prompt"].split("# TODO")[0], "\n")
    rates = [pass_rate(task, text) for text in ("print(a + b)", "print(f' {b + a} ')", "print(a)", "exit()")]
    assert rates == [1, 1, 0, 0]
    last = "sys.stdout.buffer.write(str(a + b).encode())\nsys.exit()"
    assert pass_rate(task, last) == 1


def test_a_gold_text_that_its_tests_refute_does_not_pass() -> None:
    wrong = SYNTAX_HOLE | {"ground_truth": "print(a - b)"}
    assert pass_rate(task_of("safim", wrong), "print(a - b)") == 0


def test_files_with_windows_line_ends_run_and_compare_as_others() -> None:
    windows = {name: SYNTAX_HOLE[name].replace("\n", "\r\n") for name in ("prompt", "eval_prompt")}
    tests = [{"input": "1 2\r\n", "output": ["3\r\n"]}]
    task = task_of("safim", SYNTAX_HOLE | windows | {"unit_tests": tests})
    assert pass_rate(task, "print(a + b)") == 1


def test_safim_runs_python_only() -> None:
    task = task_of("safim", SYNTAX_HOLE | {"lang": "java", "prompt": "int c = /* TODO: Your code here */;"})
    # Were gold to count, and nothing else, the rate would be too high.
    assert [pass_rate(task, text) for text in ("a + b", "print(a + b)")] == [None, None]
    assert task.prompt_for(INFILL).path == "solution.java"


def test_pass_at_k_is_over_the_tasks_that_are_executed() -> None:
    python = task_of("safim", SYNTAX_HOLE)
    java = {"task_id": "2", "lang": "java", "prompt": "int c = /* TODO: Your code here */;"}
    tasks = [python, task_of("safim", SYNTAX_HOLE | java)]
    metrics = summarise(judge(tasks, {task.key: ["print(b + a)"] * 10 for task in tasks}, Limits()))
    assert (metrics["pass_rate"], metrics["pass@1"], metrics["pass@10"]) == (1, 1, 1)


def test_safims_calls_are_compared_as_syntax() -> None:
    call = SYNTAX_HOLE | {"unit_tests": "[]", "ground_truth": "plot(x, 'a', y=1)"}
    task = task_of("safim", call)
    rates = [
        pass_rate(task, text) for text in ('plot( x, "a",y=1)', "plot(x, 'b', y=1)", "draw(x, 'a', y=1)")
    ]
    assert rates == [1, 0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lang": "cobol"}, "lang: must be one of"),
        ({"prompt": "no hole"}, "prompt: must hold"),
        ({"eval_prompt": "no hole"}, "eval_prompt: must hold"),
        ({"unit_tests": "[{}]"}, "unit_tests: must be a list"),
    ],
)
def test_a_broken_row_of_safim_says_which_field_is_wrong(change: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_of("safim", SYNTAX_HOLE | change)


def test_santacoders_lines_count_for_their_language() -> None:
    row = {
        "name": "HumanEval_0",
        "language": "js",
        "prompt": "let x =",
        "suffix": "\n",
        "canonical_solution": " 1;",
    }
    task = task_of("santacoder-fim", row)
    assert task.prompt_for(INFILL).path == "solution.js"
    assert task.completion([" 1;\nlet y"], LEFT_TO_RIGHT) == " 1;"
    rates = task.rates(" 1;")
    by_language = [rates[f"exact_match_stripped_{language}"] for language in ("js", "py", "java")]
    assert (rates["exact_match"], by_language) == (1, [1, None, None])
    # As the authors compare: white space around the line does not count.
    rates = task.rates("1;\n")
    assert (rates["exact_match"], rates["exact_match_stripped"], rates["exact_match_stripped_js"]) == (
        0,
        1,
        1,
    )
    assert task.code_language == "javascript"


@pytest.mark.parametrize(
    ("prompt", "line", "suffix"),
    [
        ("def f():", "    x = 1", "    return x"),
        ("def f():\n", "    x = 1", "    return x"),
        ("def f():", "\n    x = 1", "\n    return x"),
        ("def f():\n", "    x = 1\n", "    return x"),
    ],
)
def test_santacoders_joins_are_repaired_where_they_lack_a_newline(
    prompt: str, line: str, suffix: str
) -> None:
    row = {"name": "f", "language": "py", "prompt": prompt, "canonical_solution": line, "suffix": suffix}
    published = task_of("santacoder-fim", row)
    assert (*published.prompt_for(INFILL).parts, published.baselines["gold"]) == (prompt, suffix, line)
    task = task_of("santacoder-fim-joined", row)
    assert task.prompt_for(INFILL).parts == ("def f():\n", "    return x")
    assert task.baselines["gold"] == "    x = 1\n"
    assert task.completion(["    x = 1\n    y = 2\n"], LEFT_TO_RIGHT) == "    x = 1\n"


def test_left_to_right_may_write_the_newline_that_a_published_join_lacks() -> None:
    row = {
        "name": "f",
        "language": "py",
        "prompt": "def f():",
        "canonical_solution": "    x",
        "suffix": "    y",
    }
    task = task_of("santacoder-fim", row)
    completion = task.completion(["\n    x\n    z\n"], LEFT_TO_RIGHT)
    assert task.rates(completion)["exact_match_stripped"] == 1
