"""SantaCoder's infilling task: one line of MultiPL-HumanEval in Python, Java or JavaScript, by exact match.

Ben Allal et al., arXiv 2301.03988; the hub's bigcode/santacoder-fim-task. Published numbers compare to the
byte.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from incoder.evaluation.answers import as_long_as, exact_matches
from incoder.evaluation.benchmark import EMPTY, GOLD, INFILL, Benchmark, HubFile, Question, Task
from incoder.evaluation.rows import reader

_LANGUAGES = ("py", "java", "js")


@dataclass(frozen=True, slots=True)
class Line(Task):
    """A row of the file, and its number in it, since many lines have one name."""

    name: str
    language: str
    prompt: str
    suffix: str
    canonical_solution: str
    number: int = 0

    @property
    def key(self) -> str:
        return f"{self.language}/{self.name}/{self.number}"

    @property
    def problem(self) -> str:
        return self.name

    @property
    def baselines(self) -> Mapping[str, str]:
        return {GOLD: self.canonical_solution, EMPTY: ""}

    def question(self, method: str) -> Question:
        del method
        return Question((self.prompt, self.suffix), path=f"solution.{self.language}")

    def completion(self, infills: Sequence[str], method: str) -> str:
        return infills[0] if method == INFILL else as_long_as(infills[0], self.canonical_solution)

    def rates(self, completion: str) -> Mapping[str, float | None]:
        matches = exact_matches(completion, self.canonical_solution)
        by_language = {
            f"exact_match_{language}": matches["exact_match"] if language == self.language else None
            for language in _LANGUAGES
        }
        return {**matches, **by_language}


_read_line = reader(Line)


def _read(row: Mapping[str, Any], number: int) -> Task:
    return replace(_read_line(row, number), number=number)


BENCHMARKS = (
    Benchmark(
        "santacoder-fim",
        "Fill one line of Python, Java or JavaScript; exact match decides.",
        read=_read,
        file_name="train-00000-of-00001-b6ec1fdd66018baa.parquet",
        origin="the hub's bigcode/santacoder-fim-task",
        headline="exact_match",
        others=tuple(f"exact_match_{language}" for language in _LANGUAGES),
        max_new_tokens=64,
        hub=HubFile(
            "bigcode/santacoder-fim-task",
            "data/train-00000-of-00001-b6ec1fdd66018baa.parquet",
            "def3907ab0e63fc18334665533d89770444babc0",
        ),
    ),
)
