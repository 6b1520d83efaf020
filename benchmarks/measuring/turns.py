"""Two ways to do the same work, timed in turns within one run, so that both meet the machine's same noise."""

import statistics
import time
from collections.abc import Callable

Work = Callable[[int], object]  # does the work of a round, numbered from 0; each round has other input


def median_seconds(ours: Work, peer: Work, rounds: int) -> tuple[float, float]:
    """The medians of both over `rounds`, after one more that warms up."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for work, taken in zip((ours, peer), seconds, strict=True):
            started = time.perf_counter()
            work(number)
            taken.append(time.perf_counter() - started)
    return statistics.median(seconds[0][1:]), statistics.median(seconds[1][1:])
