"""SantaCoder's infilling task: fill one line of Python, Java or JavaScript; exact match decides.

The lines are from MultiPL-HumanEval (Ben Allal et al., arXiv 2301.03988; the hub's
bigcode/santacoder-fim-task). The published rows lack the newlines on both sides of the line, so prompt, line
and suffix together are not a program, and a model that writes the newlines is right. The authors ignore white
space around the line, and so does the headline rate. In `santacoder-fim-joined` the newlines are restored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from incoder.evaluation.answers import exact_matches
from incoder.evaluation.benchmark import Benchmark, HubFile, Prompt, Task
from incoder.evaluation.benchmark_row import reader

_LANGUAGES = {"py": "python", "java": "java", "js": "javascript"}


@dataclass(frozen=True, slots=True)
class Line(Task):
    """A row of the file, with its number in the file, because many lines have the same name."""

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
    def code_language(self) -> str:
        return _LANGUAGES.get(self.language, self.language)

    @property
    def is_cut_by_lines(self) -> bool:
        return True

    @property
    def can_go_left_to_right(self) -> bool:
        """True: a whole line is missing, although the rows lack its newlines."""
        return True

    @property
    def gold(self) -> str:
        return self.canonical_solution

    def prompt_for(self, method: str) -> Prompt:
        del method
        return Prompt((self.prompt, self.suffix), path=f"solution.{self.language}")

    def rates(self, completion: str) -> Mapping[str, float | None]:
        matches = exact_matches(completion, self.canonical_solution)
        by_language = {
            _of(language): matches["exact_match_stripped"] if language == self.language else None
            for language in _LANGUAGES
        }
        return {**matches, **by_language}

    def joined(self) -> "Line":
        """The same row with the newlines before and after the line."""
        suffix, line = self.suffix, self.canonical_solution
        prompt = self.prompt if self.prompt.endswith("\n") or not self.prompt else self.prompt + "\n"
        if line.startswith("\n") and prompt != self.prompt:
            line = line[1:]
        if not line.endswith("\n"):
            line, suffix = line + "\n", suffix.removeprefix("\n")
        return replace(self, prompt=prompt, canonical_solution=line, suffix=suffix)


def _of(language: str) -> str:
    return f"exact_match_stripped_{language}"


_read_line = reader(Line)


def _read(row: Mapping[str, Any], number: int, *, joins: bool) -> Task:
    line = replace(_read_line(row, number), number=number)
    return line.joined() if joins else line


def _benchmark(name: str, about: str, *, joins: bool) -> Benchmark:
    file_name = "train-00000-of-00001-b6ec1fdd66018baa.parquet"
    revision = "def3907ab0e63fc18334665533d89770444babc0"
    return Benchmark(
        name,
        about,
        read=partial(_read, joins=joins),
        file_name=file_name,
        other_files=("benchmark.jsonl", "santacoder*.jsonl*"),
        origin="the hub's bigcode/santacoder-fim-task",
        headline="exact_match_stripped",
        others=("exact_match", *map(_of, _LANGUAGES)),
        max_new_tokens=64,
        hub=HubFile("bigcode/santacoder-fim-task", f"data/{file_name}", revision),
    )


BENCHMARKS = (
    _benchmark(
        "santacoder-fim", "Fill one line of Python, Java or JavaScript; exact match decides.", joins=False
    ),
    _benchmark("santacoder-fim-joined", "The same with the newlines around the line restored.", joins=True),
)
