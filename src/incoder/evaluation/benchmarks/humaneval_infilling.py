"""HumanEval infilling: a line, lines or characters cut out of a solved problem, judged by its own tests.

Bavarian et al., arXiv 2207.14255; data of github.com/openai/human-eval-infilling. In the splits of whole
lines a task's prompt ends with a newline, the text that was cut out ends with its own, and the suffix begins
with the next line: a completion has to hold indentation, line and newline.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incoder.evaluation.answers import as_long_as, exact_matches, first_lines
from incoder.evaluation.benchmark import EMPTY, GOLD, INFILL, Benchmark, Question, Task
from incoder.evaluation.rows import reader


@dataclass(frozen=True, slots=True)
class Hole(Task):
    """One hole, with the fields of OpenAI's file."""

    task_id: str
    entry_point: str
    prompt: str
    suffix: str
    canonical_solution: str
    test: str

    @property
    def key(self) -> str:
        return self.task_id

    @property
    def problem(self) -> str:
        return "/".join(self.task_id.split("/")[1:3])

    @property
    def baselines(self) -> Mapping[str, str]:
        return {GOLD: self.canonical_solution, EMPTY: ""}

    def question(self, method: str) -> Question:
        del method
        return Question((self.prompt, self.suffix))

    def completion(self, infills: Sequence[str], method: str) -> str:
        """Left to right has no end-of-mask to end with and is cut to the gold lines (paper, section 4.1)."""
        return infills[0] if method == INFILL else as_long_as(infills[0], self.canonical_solution)

    def programs(self, completion: str) -> Mapping[str, str]:
        """The completion as it is, with the newline it may lack, and cut to as many lines as were taken out.

        The paper's authors add the newline; that and the cut mean something only where whole lines are
        missing.
        """
        spliced = {"pass_rate": completion}
        if self.canonical_solution.endswith("\n"):
            num_lines = self.canonical_solution.count("\n")
            spliced["pass_rate_newline"] = completion.removesuffix("\n") + "\n"
            spliced["pass_rate_gold_lines"] = first_lines(completion, num_lines)
        return {rate: self._program(text) for rate, text in spliced.items()}

    def rates(self, completion: str) -> Mapping[str, float | None]:
        return exact_matches(completion, self.canonical_solution)

    @property
    def right_context(self) -> float | None:
        """Of the body's lines that are not blank; the body begins behind the last docstring."""
        left = re.split(r'"""|\'\'\'', self.prompt)[-1]
        num_left, num_gold, num_right = map(_num_lines, (left, self.canonical_solution, self.suffix))
        return num_right / max(1, num_left + num_gold + num_right)

    def _program(self, completion: str) -> str:
        """What is executed, as in OpenAI's harness."""
        return f"{self.prompt}{completion}{self.suffix}\n{self.test}\ncheck({self.entry_point})"


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
        max_new_tokens=max_new_tokens,
    )


BENCHMARKS = (
    _benchmark("single-line", "SingleLineInfilling", "Fill one line cut out of a HumanEval solution.", 64),
    _benchmark("multi-line", "MultiLineInfilling", "Fill lines cut out of a HumanEval solution.", 256),
    _benchmark("random-span", "RandomSpanInfilling", "Fill characters cut out of a HumanEval solution.", 256),
)
