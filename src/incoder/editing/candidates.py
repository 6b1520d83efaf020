"""Ways to change a place of a text, ranked, and what came of it.

A candidate is a set of edits; the most probable one without a problem is used.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from incoder.editing.edits import Edit


@dataclass(frozen=True, slots=True)
class Candidate:
    """Edits that belong together, and how probable the model finds them.

    `logprob` is the mean log-probability of the tokens, `total_logprob` their sum. `problem` says why this
    candidate cannot be used ("does not parse"), None where it can.
    """

    edits: tuple[Edit, ...]
    logprob: float
    total_logprob: float
    problem: str | None = None

    def rejected(self, problem: str) -> "Candidate":
        return replace(self, problem=problem)


@dataclass(frozen=True, slots=True)
class Change:
    """What was proposed for one place: its name for people, the line it begins in, candidates best first."""

    place: str
    line: int
    candidates: tuple[Candidate, ...]

    @property
    def used(self) -> Candidate | None:
        """The best candidate that can be used, if any."""
        return next((candidate for candidate in self.candidates if candidate.problem is None), None)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """What is done to the text: the edits of the candidate that is used."""
        return self.used.edits if self.used else ()


def ranked(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Those without a problem first, each kind by log-probability; equal edits count once."""
    distinct: dict[tuple[Edit, ...], Candidate] = {}
    for candidate in sorted(candidates, key=lambda one: (one.problem is not None, -one.logprob)):
        distinct.setdefault(candidate.edits, candidate)
    return tuple(distinct.values())
