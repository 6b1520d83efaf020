"""Cloze: decide between `max` and `min` (CodeXGLUE; paper, section 4.2 and table 3).

Nothing is generated: both words are scored, in four prompt formats (paper, appendix A.2). `left-to-right`
scores the text up to the word, `rerank` the full text, `infill` the word in its hole, and `infill-region` a
hole with the word and the ten tokens after it. CodeXGLUE's own file has tokens instead of text, and a hole
that breaks tokens costs 12 points (table 9), so we use a format of our own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from incoder.evaluation.benchmark import INFILL, LEFT_TO_RIGHT, RERANK, Benchmark, Prompt
from incoder.evaluation.benchmark_row import ProjectRow, reader

INFILL_REGION = "infill-region"


@dataclass(frozen=True, slots=True)
class Cloze(ProjectRow):
    """A row of the file: the text before and after the word."""

    prefix: str
    suffix: str
    answer: Literal["max", "min"]

    @property
    def gold(self) -> str:
        return self.answer

    @property
    def choices(self) -> tuple[str, ...]:
        return ("max", "min")

    def prompt_for(self, method: str) -> Prompt:
        del method
        return Prompt((self.prefix, self.suffix))

    def rates(self, completion: str) -> Mapping[str, float | None]:
        return {"accuracy": float(completion == self.answer)}


BENCHMARKS = (
    Benchmark(
        "cloze",
        "Decide between max and min.",
        read=reader(Cloze),
        file_name="cloze.jsonl",
        origin="incoder eval build cloze",
        headline="accuracy",
        max_new_tokens=1,
        methods=(INFILL, INFILL_REGION, LEFT_TO_RIGHT, RERANK),
    ),
)
