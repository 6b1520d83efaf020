"""Paired comparison of two results: the difference of a rate on the tasks that both have.

Rates are compared task by task, so the difficulty of a task cancels out; the interval resamples whole
problems.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incoder.evaluation.report import BASELINES, Result
from incoder.evaluation.statistics import paired_difference, why_no_interval


@dataclass(frozen=True, slots=True)
class Difference:
    """A headline rate of `one` minus that of `other`, each a model and a method.

    `num_better` and `num_worse` count the tasks on which `one` did better or worse. `missing` says why there
    is no interval.
    """

    benchmark: str
    rate: str
    one: tuple[str, str]
    other: tuple[str, str]
    num_tasks: int
    value: float
    interval: tuple[float, float] | None
    missing: str | None
    num_better: int
    num_worse: int


def differences(results: Sequence[Result]) -> list[Difference]:
    """Compare every result with the first one of its benchmark; baselines without a model are left out."""
    found = []
    given = sorted(
        (result for result in results if result.method not in BASELINES), key=lambda result: result.place
    )
    for benchmark in dict.fromkeys(result.benchmark for result in given):
        first, *others = (result for result in given if result.benchmark == benchmark)
        for other in others:
            difference = _difference(other, first)
            if difference is not None:
                found.append(difference)
    return found


def _difference(one: Result, other: Result) -> Difference | None:
    """The difference between two results, None if no task counts for both."""
    ours, theirs = _rates(one), _rates(other)
    shared = [task_id for task_id in ours if task_id in theirs]
    if not shared:
        return None
    values, others = [ours[task_id] for task_id in shared], [theirs[task_id] for task_id in shared]
    problems = {row["task_id"]: row["problem"] for row in one.rows}
    clusters = [problems[task_id] for task_id in shared]
    value, interval = paired_difference(values, others, clusters)
    return Difference(
        one.benchmark,
        one.headline,
        (one.model, one.method),
        (other.model, other.method),
        len(shared),
        value,
        interval,
        why_no_interval(clusters) if interval is None else None,
        sum(map(float.__gt__, values, others)),
        sum(map(float.__lt__, values, others)),
    )


def _rates(result: Result) -> Mapping[str, float]:
    rates = {row["task_id"]: row["rates"].get(result.headline) for row in result.rows}
    return {task_id: float(rate) for task_id, rate in rates.items() if rate is not None}
