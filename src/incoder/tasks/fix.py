"""Lines written anew until a command passes, or else until the file parses."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePath

from incoder.tasks.candidates import Candidate, Change
from incoder.tasks.edits import apply
from incoder.tasks.lines import Lines
from incoder.tasks.model import Decoding, Model
from incoder.tasks.regeneration import regenerate
from incoder.tasks.trial import Outcome

Try = Callable[[str], Outcome]


@dataclass(slots=True)
class Budget:
    """How often the command may still be run."""

    num_tries: int

    def take(self) -> bool:
        self.num_tries -= 1
        return self.num_tries >= 0


def fix(
    model: Model,
    text: str,
    spans: Iterable[tuple[int, int]],
    decoding: Decoding,
    *,
    run: Try | None = None,
    max_tries: int = 20,
    path: PurePath | None = None,
) -> Change:
    """Write the lines of one span after the other anew, up to the first with a candidate that can be used.

    A line on its own stays one line. With `run` that is one with which the command passes; each run counts
    as a try. Without a usable one the change has all that were tried, each with its problem.
    """
    lines, budget, tried = Lines(text), Budget(max_tries), list[Candidate]()
    first, place = 1, ""
    for start, end in spans:
        first, last = lines.number(start), lines.number(max(start, end - 1))
        place = f"lines {first}:{last}" if first < last else f"line {first}"
        candidates = regenerate(model, text, (start, end), decoding, is_one_line=first == last, path=path)
        if run is not None:
            candidates = _tested(candidates, text, run, budget)
        change = Change(place, first, candidates)
        if change.used is not None:
            return change
        tried += candidates
        if budget.num_tries <= 0:
            break
    return Change(place, first, tuple(tried))


def _tested(candidates: Iterable[Candidate], text: str, run: Try, budget: Budget) -> tuple[Candidate, ...]:
    """The candidates, those rejected with which the command fails; none is tried after one that passes."""
    tested, passed = list[Candidate](), False
    for candidate in candidates:
        if candidate.problem is None and not passed:
            if not budget.take():
                tested.append(candidate.rejected("was not tried: no tries are left"))
                continue
            failure = run(apply(text, candidate.edits)).failure
            passed = failure is None
            tested.append(candidate.rejected(failure) if failure else candidate)
        else:
            tested.append(candidate)
    return tuple(tested)
