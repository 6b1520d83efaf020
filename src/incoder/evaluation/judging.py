"""Judge completions: execute their programs, count rates, and compute intervals.

Completions may come from anywhere; this module knows no model.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from incoder.evaluation.benchmark import GOLD, Task
from incoder.evaluation.execution import Limits, Verdict, run_programs
from incoder.evaluation.programs import AnyProgram
from incoder.evaluation.statistics import cluster_bootstrap_interval, pass_at_k, why_no_interval

_KS = (1, 10, 100)  # the k of pass@k that HumanEval's tables have (Chen et al., arXiv 2107.03374)

Completions = Mapping[str, Sequence[str]]
OnVerdict = Callable[[int, int], None]


def judge(
    tasks: Sequence[Task],
    completions: Completions,
    limits: Limits,
    *,
    num_workers: int = 2,
    on_verdict: OnVerdict | None = None,
) -> list[dict[str, Any]]:
    """Return one row for each task, with all its samples, ready for JSON.

    A program that several rates or samples share runs once. `on_verdict` is called with the numbers of
    programs done and of all.
    """
    programs: list[AnyProgram] = [
        program
        for task in tasks
        for completion in completions[task.key]
        for program in task.programs(completion).values()
    ]
    verdicts = _run(list(dict.fromkeys(programs)), limits, num_workers, on_verdict)
    return [_row(task, completions[task.key], verdicts) for task in tasks]


def runs_programs(tasks: Sequence[Task]) -> bool:
    """Whether an answer to any of the tasks is executed."""
    return any(task.programs(answer) for task in tasks for answer in task.baselines.values())


def gold(tasks: Sequence[Task]) -> dict[str, list[str]]:
    """The gold answer of every task; their rates are the ceiling."""
    return {task.key: [task.baselines[GOLD]] for task in tasks}


def summarise(rows: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, Any]:
    """The rates in [0, 1] over tasks, each with a 95 % interval by cluster bootstrap over problems.

    A rate is the mean over the tasks that count for it, of which there are `…_num_tasks`. If every executed
    task has k samples, there is an unbiased pass@k. With too few problems an interval is None, and
    `…_interval_missing` says why.
    """
    metrics: dict[str, Any] = {"num_tasks": len(rows), "num_problems": len({row["problem"] for row in rows})}
    rates = dict.fromkeys(name for row in rows for name in row["rates"])
    for name in rates:
        values = [(row["rates"].get(name), row["problem"]) for row in rows]
        _add(metrics, name, [(value, problem) for value, problem in values if value is not None], seed)
    executed = [row for row in rows if row["rates"].get("pass_rate") is not None]
    num_samples = min((len(row["samples"]) for row in executed), default=0)
    if num_samples > 1:
        for k in (k for k in _KS if k <= num_samples):
            _add(metrics, f"pass@{k}", [(_pass_at_k(row, k), row["problem"]) for row in executed], seed)
    outcomes = [sample["outcome"] for row in rows for sample in row["samples"] if "outcome" in sample]
    if outcomes:
        metrics["outcomes"] = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    return metrics


def _add(metrics: dict[str, Any], name: str, values: Sequence[tuple[float, str]], seed: int) -> None:
    if values:
        numbers, problems = zip(*values, strict=True)
        metrics[name] = sum(numbers) / len(numbers)
        metrics[f"{name}_num_tasks"] = len(numbers)
        interval = cluster_bootstrap_interval(numbers, problems, seed=seed)
        metrics[f"{name}_interval"] = None if interval is None else list(interval)
        if interval is None:
            metrics[f"{name}_interval_missing"] = why_no_interval(problems)


def _pass_at_k(row: Mapping[str, Any], k: int) -> float:
    passed = [sample["rates"]["pass_rate"] for sample in row["samples"]]
    return pass_at_k(len(passed), sum(map(bool, passed)), k)


def _run(
    programs: Sequence[AnyProgram], limits: Limits, num_workers: int, on_verdict: OnVerdict | None
) -> dict[AnyProgram, Verdict]:
    if not programs:
        return {}
    tell = None if on_verdict is None else lambda done: on_verdict(done, len(programs))
    verdicts = run_programs(programs, limits=limits, num_workers=num_workers, on_verdict=tell)
    return dict(zip(programs, verdicts, strict=True))


def _row(task: Task, completions: Sequence[str], verdicts: Mapping[AnyProgram, Verdict]) -> dict[str, Any]:
    samples = [_sample(task, completion, verdicts) for completion in completions]
    names = samples[0]["rates"]
    row: dict[str, Any] = {
        "task_id": task.key,
        "problem": task.problem,
        "rates": {name: _mean([sample["rates"][name] for sample in samples]) for name in names},
        "samples": samples,
    }
    if task.right_context is not None:
        row["right_context"] = task.right_context
    return row


def _sample(task: Task, completion: str, verdicts: Mapping[AnyProgram, Verdict]) -> dict[str, Any]:
    found = {rate: verdicts[program] for rate, program in task.programs(completion).items()}
    passed = {rate: float(verdict.passed) for rate, verdict in found.items()}
    sample: dict[str, Any] = {"completion": completion, "rates": {**task.rates(completion), **passed}}
    if found:
        first = next(iter(found.values()))
        sample |= {"outcome": first.outcome, "detail": first.detail}
    return sample


def _mean(values: Sequence[float | None]) -> float | None:
    counted = [value for value in values if value is not None]
    return sum(counted) / len(counted) if counted else None
