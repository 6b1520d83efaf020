"""The processes of a run, its ranks: which one this is, and how they agree.

`Ranks` is a run in one process, which agrees with itself; `process_group.py` has the same methods for several
processes. The loop calls both in the same way. Every rank must call a method that communicates, in the same
order. Imports nothing of `torch.distributed`.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from incoder.errors import IncoderError

T = TypeVar("T")

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@dataclass(frozen=True, slots=True)
class Place:
    """Which of the run's processes this one is. All numbers count from 0, as the files in `ranks/` do."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0  # among the processes of its machine
    local_world_size: int = 1
    host: str = ""

    def __str__(self) -> str:
        return f"process {self.rank} of {self.world_size} ({self.host})"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Place | None":
        """Read the variables that `torchrun` sets; None where it did not start this process.

        >>> Place.of({}) is None
        True
        >>> Place.of({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}).rank
        5

        Raises:
            IncoderError: a variable is missing or is no number, or the numbers contradict each other.
        """
        if "RANK" not in environment and "WORLD_SIZE" not in environment:
            return None
        defaults = {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
        texts = {name: environment.get(name, defaults.get(name, "")) for name in _NAMES}
        for name, text in texts.items():
            if not text.isdecimal():
                raise IncoderError(
                    f"{name} must be a whole number in the environment of each process of a run, got "
                    f"{text!r}; start them with torchrun, or unset RANK and WORLD_SIZE for a single one"
                )
        rank, world_size, local_rank, local_world_size = (int(text) for text in texts.values())
        if not (rank < world_size and local_rank < local_world_size <= world_size):
            raise IncoderError(
                "RANK must be less than WORLD_SIZE, and LOCAL_RANK less than LOCAL_WORLD_SIZE, got "
                f"{', '.join(f'{name}={text}' for name, text in texts.items())}"
            )
        return cls(rank, world_size, local_rank, local_world_size, socket.gethostname())


class Ranks:
    """A run in one process.

    >>> ranks = Ranks()
    >>> ranks.sum(0.5, 2.0), ranks.any(False), ranks.first(lambda: 7)
    ([0.5, 2.0], False, 7)
    """

    is_sharded = False  # whether weights are divided among the ranks

    def __init__(self, place: Place | None = None) -> None:
        self.place = place or Place(host=socket.gethostname())

    @property
    def is_first(self) -> bool:
        """Whether this rank writes the files that a run has once, and prints."""
        return self.place.rank == 0

    def sum(self, *values: float) -> list[float]:
        """Each value summed over the ranks, in float64."""
        return list(values)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        return flag

    def each(self, action: Callable[[], T]) -> T:
        """Run the action on every rank and return this rank's result.

        Raises:
            IncoderError: the action raised it on some rank; then every rank raises it.
        """
        return action()

    def first(self, action: Callable[[], T]) -> T:
        """Run the action on the first rank and return its result on every rank; it must be picklable.

        Raises:
            IncoderError: the action raised it; then every rank raises it.
        """
        return action()

    def check_same(self, facts: Mapping[str, str]) -> None:
        """Check that the facts, by what they are about, are equal on all ranks.

        Raises:
            IncoderError: one differs; the message names it and the machine.
        """

    def close(self) -> None:
        """Leave the process group, if there is one."""
