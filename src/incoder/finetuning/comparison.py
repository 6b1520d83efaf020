"""Before and after on the same holes: rates and losses, each with its interval, and the paired difference.

Differences are taken hole by hole, and intervals resample whole files, whose holes resemble each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incoder.evaluation.statistics import paired_difference, ratio_interval
from incoder.finetuning.judging import Judgement

Interval = tuple[float, float] | None

EXACT, SIMILARITY, LOSS = "exact match", "edit similarity", "loss of infills"
_RATES = {EXACT: "exact_match_stripped", SIMILARITY: "edit_similarity"}


@dataclass(frozen=True, slots=True)
class Measure:
    """A number before and after, and the difference; a loss is in nats a token, the others are rates."""

    name: str
    before: float
    before_interval: Interval
    after: float
    after_interval: Interval
    difference: float
    difference_interval: Interval

    @property
    def is_rate(self) -> bool:
        return self.name != LOSS

    @property
    def is_clear(self) -> bool:
        """Whether the interval of the difference does not contain 0."""
        interval = self.difference_interval
        return interval is not None and not interval[0] <= 0.0 <= interval[1]


def compare(before: Judgement, after: Judgement) -> list[Measure]:
    """Return the measures of two judgements of the same holes."""
    measures = [rate(name, before, after, key) for name, key in _RATES.items()]
    if before.losses:
        measures.append(_loss(before, after))
    return measures


def rate(name: str, before: Judgement, after: Judgement, key: str) -> Measure:
    """Return one rate of two results on the same tasks."""
    was, now = _rates(before.results, key), _rates(after.results, key)
    problems = {row["task_id"]: row["problem"] for row in before.results["tasks"]}
    shared = [task for task in was if task in now]
    clusters = [problems[task] for task in shared]
    ones, others = [now[task] for task in shared], [was[task] for task in shared]
    difference, interval = paired_difference(ones, others, clusters)
    return Measure(
        name,
        sum(others) / len(others),
        _interval(others, clusters),
        sum(ones) / len(ones),
        _interval(ones, clusters),
        difference,
        interval,
    )


def _loss(before: Judgement, after: Judgement) -> Measure:
    problems = {row["task_id"]: row["problem"] for row in before.results["tasks"]}
    shared = [task for task in problems if task in before.losses and task in after.losses]
    clusters = [problems[task] for task in shared]
    sizes = [float(before.losses[task].num_tokens) for task in shared]
    was, now = ([one.losses[task].nats for task in shared] for one in (before, after))
    change = [new - old for new, old in zip(now, was, strict=True)]
    return Measure(
        LOSS,
        sum(was) / sum(sizes),
        ratio_interval(was, sizes, clusters),
        sum(now) / sum(sizes),
        ratio_interval(now, sizes, clusters),
        sum(change) / sum(sizes),
        ratio_interval(change, sizes, clusters),
    )


def _interval(values: Sequence[float], clusters: Sequence[str]) -> Interval:
    return ratio_interval(values, [1.0] * len(values), clusters)


def _rates(results: Mapping[str, Any], key: str) -> dict[str, float]:
    rates = {row["task_id"]: row["rates"].get(key) for row in results["tasks"]}
    return {task: float(value) for task, value in rates.items() if value is not None}
