"""HumanEval infilling: a completion is put into its hole, and counts for the right rates."""

import json
from pathlib import Path

import pytest

from incoder.errors import IncoderError
from incoder.evaluation.benchmark import GOLD, INFILL, LEFT_TO_RIGHT, Benchmark
from incoder.evaluation.benchmark_files import load_tasks
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.evaluation.execution import Limits
from incoder.evaluation.judging import judge, summarise

SINGLE, MULTI, RANDOM = (
    BENCHMARKS[f"humaneval-{split}"] for split in ("single-line", "multi-line", "random-span")
)
DATA = "bench/human-eval-infilling"
TASK = {
    "task_id": "RandomSpanInfilling/HumanEval/0/1",
    "entry_point": "double",
    "prompt": 'def double(x):\n    """Twice."""\n\n    y = ',
    "suffix": " * x\n    return y\n",
    "canonical_solution": "2",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
}


@pytest.mark.parametrize(("benchmark", "num_tasks"), [(SINGLE, 1033), (MULTI, 5815)])
def test_all_tasks_of_the_published_file_are_read(shared: Path, benchmark: Benchmark, num_tasks: int) -> None:
    tasks = load_tasks(shared / DATA / benchmark.file_name, benchmark)
    assert len(tasks) == num_tasks
    assert len({task.problem for task in tasks}) == 164
    assert tasks[0].problem == "HumanEval/0"
    # One program decides all the rates of gold, and left to right has its length.
    assert all(len(set(task.programs(task.baselines[GOLD]).values())) == 1 for task in tasks)
    assert all(
        task.completion([task.baselines[GOLD]], LEFT_TO_RIGHT) == task.baselines[GOLD] for task in tasks
    )


def test_mishandling_one_newline_is_seen(shared: Path) -> None:
    tasks = load_tasks(shared / DATA / SINGLE.file_name, SINGLE, limit=20)
    unended = {task.key: [task.baselines[GOLD].rstrip("\n")] for task in tasks}
    metrics = summarise(judge(tasks, unended, Limits()))
    assert metrics["pass_rate"] < 0.8
    assert metrics["pass_rate_newline"] == metrics["pass_rate_gold_lines"] == 1
    assert metrics["exact_match"] == 0
    assert metrics["exact_match_without_last_newline"] == metrics["exact_match_stripped"] == 1


def test_a_span_inside_of_a_line_is_judged_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(TASK) + "\n")
    (task,) = load_tasks(path, RANDOM)
    assert set(task.programs("2")) == {"pass_rate"}
    assert summarise(judge([task], {task.key: ["2"]}, Limits()))["pass_rate"] == 1
    assert summarise(judge([task], {task.key: ["x"]}, Limits()))["pass_rate"] == 1
    assert summarise(judge([task], {task.key: ["3"]}, Limits()))["pass_rate"] == 0
    assert task.completion(["2 * 1\n"], LEFT_TO_RIGHT) == "2 * 1"
    assert task.completion(["2 * 1\n"], INFILL) == "2 * 1\n"


def test_a_random_span_is_never_cut_by_lines(tmp_path: Path) -> None:
    """Spans that begin with a newline, or end with one, are no lines that could be counted."""
    path = tmp_path / "data.jsonl"
    span = {"prompt": "def double(x):", "canonical_solution": "\n    y = 2 * x\n", "suffix": "    return y\n"}
    path.write_text(json.dumps(TASK | span) + "\n")
    (task,) = load_tasks(path, RANDOM)
    gold = task.baselines[GOLD]
    assert set(task.programs(gold)) == {"pass_rate"}
    assert summarise(judge([task], {task.key: [gold]}, Limits()))["pass_rate"] == 1


def test_right_context_is_the_share_of_the_bodys_lines(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(TASK | {"suffix": " * x\n    z = y\n\n    return z\n"}) + "\n")
    (task,) = load_tasks(path, RANDOM)
    # `y =` on the left, the missing text, and three lines after it.
    assert task.right_context == 3 / 5


@pytest.mark.parametrize("task_id", ["RandomSpanInfilling", "RandomSpanInfilling/", "RandomSpanInfilling//0"])
def test_a_task_that_does_not_name_its_problem_is_refused(task_id: str) -> None:
    with pytest.raises(ValueError, match="task_id: must name its problem"):
        RANDOM.read(TASK | {"task_id": task_id}, 1)


def test_the_other_splits_tasks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(TASK) + "\n")
    with pytest.raises(
        IncoderError, match=r"line 1: .*RandomSpanInfilling/HumanEval/0/1 is of another split"
    ):
        load_tasks(path, SINGLE)
