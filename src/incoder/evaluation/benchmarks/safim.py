"""SAFIM: blocks, conditions and calls cut out along the syntax tree (Gong et al., arXiv 2403.04814).

A completion passes if its program, run as a process of its own for each test, ends with status 0 and prints
the output that the test expects, by the rules of SAFIM's executor (output_comparison.py). Only Python is run
here; tasks in other languages count for exact match alone. Calls have no tests: they are compared as text
without white space and as syntax trees. Three things differ from the published numbers: completions are not
truncated along the syntax, Python is CPython, not PyPy, and the missing text passes only if its program does.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incoder.evaluation.answers import exact_matches
from incoder.evaluation.benchmark import Benchmark, HubFile, Prompt
from incoder.evaluation.benchmark_row import BenchmarkRow, reader
from incoder.evaluation.programs import MainProgram, OutputTest

_PLACEHOLDERS = ("# TODO: Your code here", "/* TODO: Your code here */")
_SPLICE, _EXECUTED = "{{completion}}", "python"
_EXTENSIONS = {"python": "py", "java": "java", "cpp": "cpp", "csharp": "cs"}
_NAMES = {"python": "python", "java": "java", "cpp": "c++", "csharp": "c#"}


@dataclass(frozen=True, slots=True)
class SyntaxHole(BenchmarkRow):
    """A row of one of the three files; `unit_tests` may be a string of JSON."""

    lang: str
    prompt: str
    eval_prompt: str
    ground_truth: str
    unit_tests: str | list[dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        if self.lang not in _EXTENSIONS:
            raise ValueError(f"lang: must be one of {', '.join(_EXTENSIONS)}, got {self.lang!r}")
        if sum(self.prompt.count(mark) for mark in _PLACEHOLDERS) != 1:
            raise ValueError(f"prompt: must hold {_PLACEHOLDERS[0]!r}, or that of its language, once")
        if _SPLICE not in self.eval_prompt:
            raise ValueError(f"eval_prompt: must hold {_SPLICE}")
        self._tests()

    @property
    def gold(self) -> str:
        return self.ground_truth

    def prompt_for(self, method: str) -> Prompt:
        del method
        mark = next(mark for mark in _PLACEHOLDERS if mark in self.prompt)
        prefix, suffix = self.prompt.split(mark)
        return Prompt((prefix, suffix), path=f"solution.{_EXTENSIONS[self.lang]}")

    @property
    def code_language(self) -> str:
        return _NAMES[self.lang]

    @property
    def is_cut_by_lines(self) -> bool:
        return True

    def programs(self, completion: str) -> Mapping[str, MainProgram]:
        tests = self._tests()
        if not tests or self.lang != _EXECUTED:
            return {}
        source = _unix(self.eval_prompt.replace(_SPLICE, completion))
        return {"pass_rate": MainProgram(source, tests)}

    def rates(self, completion: str) -> Mapping[str, float | None]:
        is_same = None if self._tests() else float(_is_same_call(completion, self.ground_truth))
        return {"pass_rate": is_same, **exact_matches(completion, self.ground_truth)}

    def _tests(self) -> tuple[OutputTest, ...]:
        try:
            tests = json.loads(self.unit_tests) if isinstance(self.unit_tests, str) else self.unit_tests or []
            return tuple(
                OutputTest(_unix(test["input"]), tuple(map(_unix, test["output"]))) for test in tests
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError("unit_tests: must be a list of input and output") from error


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _is_same_call(one: str, other: str) -> bool:
    one, other = (re.sub(r"\s+", "", text) for text in (one, other))
    try:
        return one == other or ast.dump(ast.parse(one, mode="eval")) == ast.dump(
            ast.parse(other, mode="eval")
        )
    except (SyntaxError, ValueError):
        return False


BENCHMARKS = (
    Benchmark(
        "safim",
        "Fill a block, a condition or a call of a program; its tests decide.",
        read=reader(SyntaxHole),
        file_name="block_completion.jsonl.gz",
        origin="the hub's gonglinyuan/safim; its three files go one by one",
        headline="pass_rate",
        others=("exact_match",),
        other_files=tuple(f"{kind}_completion*.jsonl*" for kind in ("api", "block", "control")),
        max_new_tokens=128,
        seconds=10.0,
        hub=HubFile(
            "gonglinyuan/safim", "block_completion.jsonl.gz", "8d5f210fdc59261bf477be62ca16d359f7095718"
        ),
    ),
)
