"""A listing in steps. Each is recorded with its result, so that a kill loses at most one step.

A host's API (as a `Listing`) goes in; repositories are added to the state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from incoder.corpus.acquisition.repository import Repository, problem_with
from incoder.corpus.acquisition.state import State


@dataclass(frozen=True, slots=True)
class Wanted:
    """The repositories to list; `first` and `last` bound their creation, in the form of `as_second`."""

    languages: Sequence[str]
    licences: Sequence[str]
    min_stars: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Found:
    """The repositories that one step found, and the steps that it leads to, the next one first."""

    repositories: Sequence[Repository]
    then: Sequence[str] = ()


class Listing(Protocol):
    """A way to list a host's repositories: the first steps, and the result of each.

    A step is text that only the listing itself interprets.
    """

    def first_steps(self) -> list[str]: ...

    def take(self, step: str) -> Found: ...


def list_repositories(
    listing: Listing,
    state: State,
    *,
    max_repositories: int | None = None,
    on_step: Callable[[int, int], None] = lambda _found, _steps: None,
) -> None:
    """Take the remaining steps, until none is left or `max_repositories` are known.

    A later call with a higher maximum continues.

    Args:
        on_step: called before each step with the numbers of known repositories and of remaining steps.

    Raises:
        IncoderError: the host refuses, or fails repeatedly.
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
            state.take_step(number, new[:room], [text])  # taken once more later, for the other repositories
        else:
            state.take_step(number, new, found.then)


def as_second(time: datetime) -> str:
    """A time in UTC as ISO 8601 to the second, a form in which later times sort later.

    >>> as_second(datetime(2022, 4, 12, tzinfo=UTC))
    '2022-04-12T00:00:00Z'
    """
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
