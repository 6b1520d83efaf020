"""HumanEval infilling: fill a line, lines or characters cut out of a solution; the problem's tests decide.

Bavarian et al., arXiv 2207.14255; the data is that of github.com/openai/human-eval-infilling. In the splits
of whole lines, the prefix ends with a newline, and so does the missing text; the suffix begins with the next
line. So a completion must have the indentation, the line and its newline.
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

_RANDOM_SPAN = "RandomSpanInfilling"  # holes of characters, which a number of lines cannot end


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
        """True: a left-to-right completion is cut to the gold number of lines (paper, section 4.1)."""
        return True

    def programs(self, completion: str) -> Mapping[str, Program]:
        """Programs with the completion unchanged, with a last newline, and cut to the gold number of lines.

        The authors of the InCoder paper add the newline. It and the cut make sense only if whole lines are
        missing.
        """
        # One newline decides much: the gold lines without their last one pass only 44.5 % of the single-line
        # tasks (docs/evaluation.md), because the next line then continues the line before it.
        spliced = {"pass_rate": completion}
        if not self.task_id.startswith(_RANDOM_SPAN):
            spliced["pass_rate_newline"] = completion.removesuffix("\n") + "\n"
            spliced["pass_rate_gold_lines"] = as_long_as(completion, self.canonical_solution)
        return {rate: self._program(text) for rate, text in spliced.items()}

    @property
    def right_context(self) -> float | None:
        """The share of the body's lines, without blank ones; the body begins after the last docstring."""
        left = re.split(r'"""|\'\'\'', self.prompt)[-1]
        num_left, num_gold, num_right = map(_num_lines, (left, self.canonical_solution, self.suffix))
        return num_right / max(1, num_left + num_gold + num_right)

    def _program(self, completion: str) -> Program:
        """The program that OpenAI's harness executes."""
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
