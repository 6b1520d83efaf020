"""SAFIM: blocks, conditions and calls cut out along the syntax tree (Gong et al., arXiv 2403.04814).

A completion that is the missing text has passed. Another one passes where its program prints what the tests
expect, white space aside. Only Python is run here; tasks of other languages count for exact match alone,
since a pass rate only where the text is right would be too high. Calls, which have no tests, are compared as
text without white space and as syntax trees. Unlike the published numbers, completions are not truncated
along the syntax, and Python is CPython.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incoder.evaluation.answers import as_long_as, exact_matches
from incoder.evaluation.benchmark import EMPTY, GOLD, INFILL, Benchmark, HubFile, Question, Task
from incoder.evaluation.rows import reader

_PLACEHOLDERS = ("# TODO: Your code here", "/* TODO: Your code here */")
_SPLICE, _EXECUTED = "{{completion}}", "python"
_EXTENSIONS = {"python": "py", "java": "java", "cpp": "cpp", "csharp": "cs"}

# Runs the program once a test, as a main program whose standard streams are memory.
_JUDGE = """
import io, sys
SOURCE, TESTS = {source!r}, {tests!r}
code = compile(SOURCE, "solution.py", "exec")
for given, wanted in TESTS:
    sys.stdin = io.TextIOWrapper(io.BytesIO(given.encode()))
    sys.stdout = io.TextIOWrapper(io.BytesIO())
    try:
        exec(code, {{"__name__": "__main__"}})
    except SystemExit:
        pass
    sys.stdout.flush()
    printed = sys.stdout.buffer.getvalue().decode().split()
    assert any(printed == text.split() for text in wanted)
"""


@dataclass(frozen=True, slots=True)
class SyntaxHole(Task):
    """A row of one of the files; `unit_tests` may be JSON in a string."""

    task_id: str
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
    def key(self) -> str:
        return self.task_id

    @property
    def problem(self) -> str:
        return self.task_id

    @property
    def baselines(self) -> Mapping[str, str]:
        return {GOLD: self.ground_truth, EMPTY: ""}

    def question(self, method: str) -> Question:
        del method
        mark = next(mark for mark in _PLACEHOLDERS if mark in self.prompt)
        prefix, suffix = self.prompt.split(mark)
        return Question((prefix, suffix), path=f"solution.{_EXTENSIONS[self.lang]}")

    def completion(self, infills: Sequence[str], method: str) -> str:
        return infills[0] if method == INFILL else as_long_as(infills[0], self.ground_truth)

    def programs(self, completion: str) -> Mapping[str, str]:
        tests = self._tests()
        if completion == self.ground_truth or not tests or self.lang != _EXECUTED:
            return {}
        source = self.eval_prompt.replace(_SPLICE, completion)
        return {"pass_rate": _JUDGE.format(source=source, tests=tests)}

    def rates(self, completion: str) -> Mapping[str, float | None]:
        passed: float | None = None
        has_tests = bool(self._tests())
        if has_tests and self.lang != _EXECUTED:
            passed = None
        elif completion == self.ground_truth:
            passed = 1.0
        elif not has_tests:
            passed = float(_is_same_call(completion, self.ground_truth))
        return {"pass_rate": passed, **exact_matches(completion, self.ground_truth)}

    def _tests(self) -> list[tuple[str, list[str]]]:
        try:
            tests = json.loads(self.unit_tests) if isinstance(self.unit_tests, str) else self.unit_tests or []
            return [(test["input"], list(test["output"])) for test in tests]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError("unit_tests: must be a list of input and output") from error


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
        max_new_tokens=128,
        seconds=10.0,
        hub=HubFile(
            "gonglinyuan/safim", "block_completion.jsonl.gz", "8d5f210fdc59261bf477be62ca16d359f7095718"
        ),
    ),
)
