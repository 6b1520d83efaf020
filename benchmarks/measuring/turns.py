"""Two ways to do the same work, timed in turns within one run, so that both meet the same noise."""

import statistics
import time
from collections.abc import Callable

import torch

Work = Callable[[int], object]  # does the work of a round, numbered from 0; each round has other input


def median_seconds(ours: Work, peer: Work, rounds: int) -> tuple[float, float]:
    """The medians of both over `rounds`, after one more that warms up."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for work, seconds in zip((ours, peer), taken, strict=True):
            seconds.append(seconds_for(work, number))
    return statistics.median(taken[0][1:]), statistics.median(taken[1][1:])


def seconds_for(work: Callable[..., object], *arguments: int) -> float:
    """The seconds that a call takes, including the work that it queues on a GPU."""
    _wait_for_gpu()
    started = time.perf_counter()
    work(*arguments)
    _wait_for_gpu()
    return time.perf_counter() - started


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
