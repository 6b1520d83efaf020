"""Variable names: one name for all the places where a variable stands (paper, section 4.4 and table 5).

Every occurrence in the variable's scope is a hole of its own. Infilling fills them in order, and the name
that stands there most often wins, of several the first; left to right only the first occurrence is written.
What counts of a fill is the identifier that it begins with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incoder.editing.renaming.majority_vote import majority_vote
from incoder.evaluation.benchmark import Benchmark, Prompt
from incoder.evaluation.benchmark_row import ProjectRow, reader


@dataclass(frozen=True, slots=True)
class VariableName(ProjectRow):
    """A row of the file: the text between the occurrences, so that `variable.join(parts)` is the code."""

    parts: tuple[str, ...]
    variable: str

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise ValueError("parts: needs at least 2, one occurrence between them")

    @property
    def gold(self) -> str:
        return self.variable

    def prompt_for(self, method: str) -> Prompt:
        del method
        return Prompt(self.parts)

    def completion(self, infills: Sequence[str], method: str) -> str:
        del method
        return majority_vote(infills) or ""

    def rates(self, completion: str) -> Mapping[str, float | None]:
        return {"accuracy": float(completion == self.variable)}


BENCHMARKS = (
    Benchmark(
        "variable-names",
        "Name a variable all of whose occurrences were taken out.",
        read=reader(VariableName),
        file_name="variable-names.jsonl",
        origin="incoder eval build variable-names",
        headline="accuracy",
        max_new_tokens=16,
        num_candidates=25,
    ),
)
