"""A listing taken step by step, each noted with what it found, so that a kill loses one step at most.

A host's API in (as a `Listing`), repositories in the state out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from incoder.corpus.acquisition.repository import Repository, problem_with
from incoder.corpus.acquisition.state import State


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which repositories are listed; `first` and `last` are the first and last
    second of creation, in the form of `as_second`.
    """

    languages: Sequence[str]
    licences: Sequence[str]
    min_stars: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Found:
    """What one step found, and the steps that it leads to, the next one first."""

    repositories: Sequence[Repository]
    then: Sequence[str] = ()


class Listing(Protocol):
    """How a host is asked: first steps, and what each leads to; a step is text that only the host reads."""

    def first_steps(self) -> list[str]: ...

    def take(self, step: str) -> Found: ...


def list_repositories(
    listing: Listing,
    state: State,
    *,
    max_repositories: int | None = None,
    on_step: Callable[[int, int], None] = lambda _found, _steps: None,
) -> None:
    """Take the steps that are left, until none is or `max_repositories` are known; later more may be wanted.

    Args:
        on_step: called with the numbers of repositories known and of steps left.

    Raises:
        IncoderError: the host refuses, or goes on failing.
    """
    state.begin_listing("listing", listing.first_steps())
    while step := state.next_step():
        num_known = sum(state.outcomes().values())
        on_step(num_known, state.num_steps())
        room = max_repositories - num_known if max_repositories is not None else None
        if room is not None and room <= 0:
            return
        number, text = step
        found = listing.take(text)
        new = [r for r in found.repositories if problem_with(r) is None and not state.knows(r)]
        if room is not None and len(new) > room:
            state.take_step(number, new[:room], [text])  # to be taken once more for the others
        else:
            state.take_step(number, new, found.then)


def as_second(time: datetime) -> str:
    """A time as ISO 8601 in UTC to the second, so that later ones sort later."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
