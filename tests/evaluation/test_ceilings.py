"""The known rates of gold, empty and buggy answers: the ceilings and floors of any harness."""

from pathlib import Path

import pytest

from incoder.evaluation.benchmark import Benchmark
from incoder.evaluation.benchmark_files import load_tasks
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.evaluation.execution import Limits
from incoder.evaluation.judging import judge, summarise

PATIENCE = 60.0  # seconds for programs that end; the slowest takes three beside other work
FOLDERS = {"humaneval": "human-eval", "mbpp": "mbpp", "quixbugs": "quixbugs"}


def pass_rate(shared: Path, name: str, answer: str, limit: int | None = None) -> float:
    """Right answers end, however slow the machine is; others may not, and get the benchmark's own time."""
    benchmark: Benchmark = BENCHMARKS[name]
    folder = shared / "bench" / FOLDERS.get(name, "human-eval-infilling")
    tasks = load_tasks(folder / benchmark.file_name, benchmark, limit)
    completions = {task.key: [task.baselines[answer]] for task in tasks}
    seconds = PATIENCE if answer == "gold" else benchmark.seconds
    rows = judge(tasks, completions, Limits(seconds=seconds))
    return float(summarise(rows)["pass_rate"])


@pytest.mark.parametrize(
    ("name", "limit"),
    [("humaneval-single-line", 40), ("humaneval-multi-line", 40), ("humaneval", 164), ("mbpp", 60)],
)
def test_gold_passes(shared: Path, name: str, limit: int) -> None:
    assert pass_rate(shared, name, "gold", limit) == 1


def test_quixbugs_programs_pass_when_they_are_right(shared: Path) -> None:
    assert pass_rate(shared, "quixbugs", "gold") == 1


@pytest.mark.slow
def test_quixbugs_programs_fail_as_they_are(shared: Path) -> None:
    assert pass_rate(shared, "quixbugs", "buggy") == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["humaneval-single-line", "humaneval-multi-line", "mbpp"])
def test_all_of_gold_passes(shared: Path, name: str) -> None:
    assert pass_rate(shared, name, "gold") == 1


@pytest.mark.slow  # endless loops wait for their limit
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("name", "known"), [("humaneval-single-line", 0.026), ("humaneval-multi-line", 0.009)]
)
def test_the_empty_completion_passes_as_often_as_is_known(shared: Path, name: str, known: float) -> None:
    assert pass_rate(shared, name, "empty") == pytest.approx(known, abs=0.0005)
