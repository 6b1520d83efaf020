"""Holes in one's own code: a line, characters inside a line, several lines, or a part of Python's syntax.

`incoder eval build` makes the files. Nothing is executed. Left to right is given the length of the missing
text: its number of lines or, where the hole ends inside a line, its number of characters. The rates are
exact match and edit similarity without the white space around the texts, and exact match with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incoder.evaluation.answers import edit_similarity, exact_matches, num_lines
from incoder.evaluation.benchmark import LEFT_TO_RIGHT, RERANK, Benchmark, Prompt
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
        """Whether the hole ends where its line does; otherwise characters are counted."""
        return self.middle.endswith("\n") or not self.suffix.partition("\n")[0].strip()

    @property
    def max_lines(self) -> int | None:
        return num_lines(self.middle)

    @property
    def gold(self) -> str:
        return self.middle

    def completion(self, infills: Sequence[str], method: str) -> str:
        if method in (LEFT_TO_RIGHT, RERANK) and not self.is_cut_by_lines:
            return infills[0][: len(self.middle)]
        return super(CodeHole, self).completion(infills, method)

    def prompt_for(self, method: str) -> Prompt:
        del method
        return Prompt((self.prefix, self.suffix), path=self.path)

    def rates(self, completion: str) -> Mapping[str, float | None]:
        similarity = edit_similarity(completion.strip(), self.middle.strip())
        return {**exact_matches(completion, self.middle), "edit_similarity": similarity}


def _benchmark(name: str, about: str, max_new_tokens: int) -> Benchmark:
    return Benchmark(
        name,
        about,
        read=reader(CodeHole),
        file_name=f"{name}.jsonl",
        origin=f"incoder eval build {name}",
        headline="exact_match_stripped",
        others=("exact_match", "edit_similarity"),
        max_new_tokens=max_new_tokens,
    )


BENCHMARKS = (
    _benchmark("single-line", "Fill a line cut out of one's own code, in any language.", 64),
    _benchmark("mid-line", "Fill characters cut out inside a line of one's own code.", 64),
    _benchmark("block-opener", "Fill a line that opens a block, cut out of one's own Python.", 64),
    _benchmark("argument", "Fill an argument of a call, cut out of one's own Python.", 64),
    _benchmark("name", "Fill a name, cut out of one's own Python.", 32),
    _benchmark("multi-line", "Fill several lines cut out of one's own code.", 256),
)
