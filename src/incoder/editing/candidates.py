"""Candidates for a change at one place of a text, ranked.

A candidate is a set of edits. The most probable candidate without a problem is used.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from incoder.editing.edits import Edit


@dataclass(frozen=True, slots=True)
class EditCandidate:
    """Edits that belong together, and how probable the model finds them.

    `logprob` is the mean log-probability of the tokens, `total_logprob` their sum. `problem` says why this
    candidate cannot be used ("does not parse"), and is None if it can.
    """

    edits: tuple[Edit, ...]
    logprob: float
    total_logprob: float
    problem: str | None = None

    def rejected(self, problem: str) -> "EditCandidate":
        """The same candidate with a problem."""
        return replace(self, problem=problem)


@dataclass(frozen=True, slots=True)
class Change:
    """A proposed change at one place.

    `place` names the place for people, `line` is the line in which it begins, and the candidates are ordered
    from the best to the worst.
    """

    place: str
    line: int
    candidates: tuple[EditCandidate, ...]

    @property
    def used(self) -> EditCandidate | None:
        """The best candidate without a problem, None if every candidate has one."""
        return next((candidate for candidate in self.candidates if candidate.problem is None), None)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits of the candidate that is used; empty if there is none."""
        return self.used.edits if self.used else ()


def ranked(candidates: Iterable[EditCandidate]) -> tuple[EditCandidate, ...]:
    """Sort candidates: first those without a problem, then by log-probability; drop repeated edits."""
    distinct: dict[tuple[Edit, ...], EditCandidate] = {}
    for candidate in sorted(candidates, key=lambda one: (one.problem is not None, -one.logprob)):
        distinct.setdefault(candidate.edits, candidate)
    return tuple(distinct.values())
