"""Variable names: predict one name for all occurrences of a variable (paper, section 4.4 and table 5).

Every occurrence in the variable's scope is a hole. Infilling fills them in order and takes the majority vote,
in a tie the first name; left to right writes only the first occurrence. Of an infill, the identifier with
which it begins counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incoder.editing.renaming.majority_vote import majority_vote
from incoder.evaluation.benchmark import Benchmark, Prompt
from incoder.evaluation.benchmark_row import ProjectRow, reader


@dataclass(frozen=True, slots=True)
class VariableName(ProjectRow):
    """A row of the file: `parts` are the texts between the occurrences, so the code is `name.join(parts)`."""

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
        "Name a variable whose occurrences were all taken out.",
        read=reader(VariableName),
        file_name="variable-names.jsonl",
        origin="incoder eval build variable-names",
        headline="accuracy",
        max_new_tokens=16,
        num_candidates=25,
    ),
)
