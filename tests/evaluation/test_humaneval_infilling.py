"""The benchmark's tasks, and how a completion is put in their holes."""

import gzip
import json
from pathlib import Path

import pytest

from incoder.errors import IncoderError
from incoder.evaluation.execution import Limits
from incoder.evaluation.humaneval_infilling import (
    BENCHMARKS,
    Benchmark,
    Task,
    first_lines,
    load_tasks,
    splices,
)
from incoder.evaluation.infilling_run import score, summarise

SINGLE, MULTI = BENCHMARKS["humaneval-single-line"], BENCHMARKS["humaneval-multi-line"]
both = pytest.mark.parametrize(("benchmark", "num_tasks"), [(SINGLE, 1033), (MULTI, 5815)])


def pass_rate(tasks: list[Task], completions: dict[str, str]) -> float:
    return float(summarise(score(tasks, completions, Limits()))["pass_rate"])


@both
def test_all_tasks_of_the_published_file_are_read(shared: Path, benchmark: Benchmark, num_tasks: int) -> None:
    tasks = load_tasks(shared / "bench/human-eval-infilling", benchmark)
    assert len(tasks) == len({task.task_id for task in tasks}) == num_tasks
    assert len({task.problem for task in tasks}) == 164
    assert tasks[0].problem == "HumanEval/0"


@both
def test_gold_is_the_same_in_every_splice(shared: Path, benchmark: Benchmark, num_tasks: int) -> None:
    tasks = load_tasks(shared / "bench/human-eval-infilling", benchmark)
    assert all(
        set(splices(task, task.canonical_solution).values()) == {task.canonical_solution} for task in tasks
    )
    assert len(tasks) == num_tasks


@both
def test_gold_passes_everywhere(shared: Path, benchmark: Benchmark, num_tasks: int) -> None:
    tasks = load_tasks(shared / "bench/human-eval-infilling", benchmark, limit=20)
    assert num_tasks > len(tasks) == 20
    assert pass_rate(tasks, {task.task_id: task.canonical_solution for task in tasks}) == 1


def test_mishandling_one_newline_is_seen(shared: Path) -> None:
    tasks = load_tasks(shared / "bench/human-eval-infilling", SINGLE, limit=20)
    rows = score(tasks, {task.task_id: task.canonical_solution.rstrip("\n") for task in tasks}, Limits())
    metrics = summarise(rows)
    assert metrics["pass_rate"] < 0.8
    assert metrics["pass_rate_newline"] == metrics["pass_rate_gold_lines"] == 1
    assert metrics["exact_match"] == 0
    assert metrics["exact_match_without_last_newline"] == metrics["exact_match_stripped"] == 1


@pytest.mark.slow  # endless loops wait for their limit: 25 minutes were measured on a busy machine
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("benchmark", "empty"), [(SINGLE, 0.026), (MULTI, 0.009)])
def test_the_ceiling_and_the_floor_are_the_known_ones(
    shared: Path, benchmark: Benchmark, empty: float
) -> None:
    tasks = load_tasks(shared / "bench/human-eval-infilling", benchmark)
    assert pass_rate(tasks, {task.task_id: task.canonical_solution for task in tasks}) == 1
    if benchmark is SINGLE:
        unended = {task.task_id: task.canonical_solution.removesuffix("\n") for task in tasks}
        assert pass_rate(tasks, unended) == pytest.approx(0.445, abs=0.002)
    assert pass_rate(tasks, {task.task_id: "" for task in tasks}) == pytest.approx(empty, abs=0.0011)


def test_a_limit_keeps_tasks_of_many_problems(shared: Path) -> None:
    tasks = load_tasks(shared / "bench/human-eval-infilling" / SINGLE.file_name, SINGLE, limit=50)
    assert len({task.problem for task in tasks}) > 40
    with pytest.raises(IncoderError, match="at least 1 task, got 0"):
        load_tasks(shared / "bench/human-eval-infilling", SINGLE, limit=0)


@pytest.mark.parametrize(
    ("text", "num_lines", "expected"),
    [
        ("    a\n    b\n", 1, "    a\n"),
        ("\n\n    a\n", 1, "    a\n"),
        ("a", 1, "a\n"),
        ("a\n\nb\nc", 3, "a\n\nb\n"),
        ("a\n", 5, "a\n"),
        ("a\r\nb", 1, "a\r\n"),
        ("", 1, "\n"),
    ],
)
def test_first_lines_are_counted_from_the_first_with_text(text: str, num_lines: int, expected: str) -> None:
    assert first_lines(text, num_lines) == expected


def test_missing_data_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(
        IncoderError, match=r"data is not fetched: take HumanEval-SingleLineInfilling\.jsonl\.gz"
    ):
        load_tasks(tmp_path, SINGLE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b'{"task_id": 1}\n', "missing"),
        (b"not json\n", "Expecting value"),
        (b"\xff\xfe", "codec can't decode"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(IncoderError, match=rf"does not hold tasks of humaneval-single-line: .*{message}"):
        load_tasks(path, SINGLE)
    path.write_bytes(content + b"no gzip")
    with pytest.raises(IncoderError, match="cannot read"):
        load_tasks(path, SINGLE)


def test_the_other_splits_tasks_are_refused(tmp_path: Path) -> None:
    names = ("entry_point", "prompt", "suffix", "canonical_solution", "test")
    task = {"task_id": "MultiLineInfilling/HumanEval/0/L0_L0"} | dict.fromkeys(names, "x")
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(task) + "\n")
    with pytest.raises(IncoderError, match="it holds MultiLineInfilling/HumanEval/0/L0_L0"):
        load_tasks(path, SINGLE)
    assert len(load_tasks(path, MULTI)) == 1
