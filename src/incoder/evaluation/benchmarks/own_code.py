"""Holes in one's own code, in any of the 28 languages: a line, characters inside a line, or several lines.

`incoder eval build` makes the files. Nothing is executed. The rates are exact match and edit similarity
without the white space around the texts, and exact match with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from incoder.evaluation.answers import edit_similarity, exact_matches
from incoder.evaluation.benchmark import (
    INFILL,
    INFILL_RERANK,
    LEFT_TO_RIGHT,
    RERANK,
    Benchmark,
    Prompt,
)
from incoder.evaluation.benchmark_row import BenchmarkRow, reader


@dataclass(frozen=True, slots=True)
class CodeHole(BenchmarkRow):
    """A row of the file: the text around a hole, and the missing text. Holes of one file are one problem."""

    path: str
    language: str
    prefix: str
    middle: str
    suffix: str

    def __post_init__(self) -> None:
        if not self.middle:
            raise ValueError("middle: is empty")

    @property
    def problem(self) -> str:
        return self.path

    @property
    def code_language(self) -> str:
        return self.language

    @property
    def is_cut_by_lines(self) -> bool:
        return True

    @property
    def gold(self) -> str:
        return self.middle

    def prompt_for(self, method: str) -> Prompt:
        del method
        return Prompt((self.prefix, self.suffix), path=self.path)

    def rates(self, completion: str) -> Mapping[str, float | None]:
        similarity = edit_similarity(completion.strip(), self.middle.strip())
        return {**exact_matches(completion, self.middle), "edit_similarity": similarity}


def _benchmark(name: str, about: str, max_new_tokens: int) -> Benchmark:
    is_inside = name == "mid-line"
    return Benchmark(
        name,
        about,
        read=reader(CodeHole),
        file_name=f"{name}.jsonl",
        origin=f"incoder eval build {name}",
        headline="exact_match_stripped",
        others=("exact_match", "edit_similarity"),
        max_new_tokens=max_new_tokens,
        methods=(INFILL, INFILL_RERANK) + (() if is_inside else (LEFT_TO_RIGHT, RERANK)),
    )


BENCHMARKS = (
    _benchmark("single-line", "Fill a line cut out of one's own code, in any language.", 64),
    _benchmark("mid-line", "Fill characters cut out inside a line of one's own code.", 64),
    _benchmark("multi-line", "Fill several lines cut out of one's own code.", 256),
)
