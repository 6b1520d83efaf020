"""HumanEval infilling: a line, lines or characters cut out of a solved problem, judged by its own tests.

Bavarian et al., arXiv 2207.14255; data of github.com/openai/human-eval-infilling. In the splits of whole
lines a task's prompt ends with a newline, the text that was cut out ends with its own, and the suffix begins
with the next line: a completion has to hold indentation, line and newline.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incoder.evaluation.answers import as_long_as
from incoder.evaluation.benchmark import (
    INFILL,
    INFILL_RERANK,
    LEFT_TO_RIGHT,
    RERANK,
    Benchmark,
    Prompt,
    Task,
)
from incoder.evaluation.benchmark_row import BenchmarkRow, reader
from incoder.evaluation.programs import Program

_RANDOM_SPAN = "RandomSpanInfilling"  # holes of characters, whose end no number of lines gives


@dataclass(frozen=True, slots=True)
class Hole(BenchmarkRow):
    """One hole, with the fields of OpenAI's file."""

    entry_point: str
    prompt: str
    suffix: str
    canonical_solution: str
    test: str

    @property
    def problem(self) -> str:
        return "/".join(self.task_id.split("/")[1:3])

    @property
    def gold(self) -> str:
        return self.canonical_solution

    def prompt_for(self, method: str) -> Prompt:
        del method
        return Prompt((self.prompt, self.suffix))

    @property
    def is_cut_by_lines(self) -> bool:
        """Left to right has no end-of-mask to end with and is cut to the gold lines (paper, section 4.1)."""
        return True

    def programs(self, completion: str) -> Mapping[str, Program]:
        """The completion as it is, with the newline it may lack, and cut to as many lines as were taken out.

        The paper's authors add the newline; that and the cut mean something only where whole lines are
        missing.
        """
        spliced = {"pass_rate": completion}
        if not self.task_id.startswith(_RANDOM_SPAN):
            spliced["pass_rate_newline"] = completion.removesuffix("\n") + "\n"
            spliced["pass_rate_gold_lines"] = as_long_as(completion, self.canonical_solution)
        return {rate: self._program(text) for rate, text in spliced.items()}

    @property
    def right_context(self) -> float | None:
        """Of the body's lines that are not blank; the body begins behind the last docstring."""
        left = re.split(r'"""|\'\'\'', self.prompt)[-1]
        num_left, num_gold, num_right = map(_num_lines, (left, self.canonical_solution, self.suffix))
        return num_right / max(1, num_left + num_gold + num_right)

    def _program(self, completion: str) -> Program:
        """What is executed, as in OpenAI's harness."""
        return Program(f"{self.prompt}{completion}{self.suffix}\n", f"{self.test}\ncheck({self.entry_point})")


def _num_lines(text: str) -> int:
    return sum(bool(line.strip()) for line in text.split("\n"))


def _benchmark(split: str, family: str, about: str, max_new_tokens: int) -> Benchmark:
    read_hole = reader(Hole)

    def read(row: Mapping[str, Any], number: int) -> Task:
        hole = read_hole(row, number)
        if hole.task_id.split("/")[0].removesuffix("Light") != family:
            raise ValueError(f"task_id: {hole.task_id} is of another split than humaneval-{split}")
        if not re.fullmatch(r"[^/]+(/[^/]+){2,}", hole.task_id):
            raise ValueError(f"task_id: must name its problem, as {family}/HumanEval/0/…, got {hole.task_id}")
        return hole

    return Benchmark(
        f"humaneval-{split}",
        about,
        read=read,
        file_name=f"HumanEval-{family}.jsonl.gz",
        origin="the data folder of github.com/openai/human-eval-infilling",
        headline="pass_rate",
        others=("exact_match",),
        other_files=(f"HumanEval-{family}*.jsonl*",),
        max_new_tokens=max_new_tokens,
        methods=(INFILL, INFILL_RERANK) + (() if family == _RANDOM_SPAN else (LEFT_TO_RIGHT, RERANK)),
    )


BENCHMARKS = (
    _benchmark("single-line", "SingleLineInfilling", "Fill one line cut out of a HumanEval solution.", 64),
    _benchmark("multi-line", "MultiLineInfilling", "Fill lines cut out of a HumanEval solution.", 256),
    _benchmark("random-span", _RANDOM_SPAN, "Fill characters cut out of a HumanEval solution.", 256),
)
