"""HumanEval: write a function from its signature and docstring; tests decide (Chen et al., arXiv 2107.03374).

Completions end before the next top-level statement; the stop strings are those of the HumanEval paper. For
infilling, the prompt is the same with a hole at the end of the file. HumanEval+ (evalplus.py) has the same
problems with more tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from incoder.evaluation.benchmark import INFILL, LEFT_TO_RIGHT, RERANK, Benchmark, Prompt, Task
from incoder.evaluation.benchmark_row import BenchmarkRow, reader
from incoder.evaluation.benchmarks import evalplus
from incoder.evaluation.programs import Program

_STOP = ("\nclass", "\ndef", "\n#", "\nif")


@dataclass(frozen=True, slots=True)
class Problem(BenchmarkRow):
    """One function, with the fields of OpenAI's file."""

    prompt: str
    entry_point: str
    canonical_solution: str
    test: str

    @property
    def gold(self) -> str:
        return self.canonical_solution

    def prompt_for(self, method: str) -> Prompt:
        del method
        return Prompt((self.prompt, ""), stop=_STOP)

    def programs(self, completion: str) -> Mapping[str, Program]:
        return {
            "pass_rate": Program(f"{self.prompt}{completion}\n", f"{self.test}\ncheck({self.entry_point})")
        }


_read_problem = reader(Problem)


def _read(row: Mapping[str, Any], number: int) -> Task:
    if not evalplus.has_inputs(row):
        problem = _read_problem(row, number)
        return replace(problem, test=evalplus.without_numpy(problem.test))
    problem = _read_problem({**row, "test": ""}, number)
    reference = problem.prompt + problem.canonical_solution
    return replace(problem, test=evalplus.test_by_reference(row, reference=reference))


BENCHMARKS = (
    Benchmark(
        "humaneval",
        "Write a function from its docstring; its tests decide.",
        read=_read,
        file_name="HumanEval.jsonl.gz",
        other_files=("HumanEvalPlus*.jsonl*",),
        origin="the data folder of github.com/openai/human-eval",
        headline="pass_rate",
        max_new_tokens=256,
        methods=(LEFT_TO_RIGHT, RERANK, INFILL),
    ),
)
