"""Bug fixing: the model rewrites the wrong lines of a program, and its tests decide.

QuixBugs (Lin et al., 2017) and HumanEvalFix (Muennighoff et al., arXiv 2308.07124). The position of the bug
is given: the hole covers all lines that differ between the buggy and the fixed program, from the first to the
last. Program repair compares infilling models in this way (Xia et al., ICSE 2023).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from incoder.evaluation.benchmark import EMPTY, GOLD, INFILL, Benchmark, Prompt, Task
from incoder.evaluation.benchmark_row import reader
from incoder.evaluation.programs import Program

BUGGY = "buggy"


class _Bug(Task):
    """A buggy program, the fixed program, and the tests, in either format."""

    __slots__ = ()

    @property
    def buggy(self) -> str:
        raise NotImplementedError

    @property
    def fixed(self) -> str:
        raise NotImplementedError

    @property
    def tests(self) -> str:
        raise NotImplementedError

    @property
    def problem(self) -> str:
        return self.key

    @property
    def gold(self) -> str:
        return self._in_hole(self.fixed)

    @property
    def baselines(self) -> Mapping[str, str]:
        return {GOLD: self.gold, EMPTY: "", BUGGY: self._in_hole(self.buggy)}

    def prompt_for(self, method: str) -> Prompt:
        del method
        return Prompt(around_difference(self.buggy, self.fixed))

    @property
    def is_cut_by_lines(self) -> bool:
        return True

    def programs(self, completion: str) -> Mapping[str, Program]:
        return {"pass_rate": Program(f"{self.full_text(completion)}\n", self.tests)}

    def _in_hole(self, program: str) -> str:
        """The lines of one of the programs that the hole replaces."""
        prefix, suffix = self.prompt_for(INFILL).parts
        return program[len(prefix) : len(program) - len(suffix)]


@dataclass(frozen=True, slots=True)
class QuixBug(_Bug):
    """A program of QuixBugs with its tests as assertions."""

    name: str
    buggy_program: str
    solution: str
    tests: str

    @property
    def key(self) -> str:
        return f"QuixBugs/{self.name}"

    @property
    def buggy(self) -> str:
        return self.buggy_program.rstrip("\n") + "\n"

    @property
    def fixed(self) -> str:
        return self.solution.rstrip("\n") + "\n"


@dataclass(frozen=True, slots=True)
class HumanEvalFix(_Bug):
    """A row of HumanEvalPack's Python file; its tests may call `check` themselves."""

    task_id: str
    declaration: str
    buggy_solution: str
    canonical_solution: str
    test: str
    entry_point: str

    @property
    def key(self) -> str:
        return self.task_id

    @property
    def buggy(self) -> str:
        return (self.declaration + self.buggy_solution).rstrip("\n") + "\n"

    @property
    def fixed(self) -> str:
        return (self.declaration + self.canonical_solution).rstrip("\n") + "\n"

    @property
    def tests(self) -> str:
        return self.test if "\ncheck(" in self.test else f"{self.test}\ncheck({self.entry_point})"


def around_difference(one: str, other: str) -> tuple[str, str]:
    """The lines before the first and after the last line that differs between two texts.

    >>> around_difference("a\\nb\\nc\\n", "a\\nB\\nc\\n")
    ('a\\n', 'c\\n')
    """
    lines, others = one.splitlines(keepends=True), other.splitlines(keepends=True)
    num_before = _num_equal(lines, others)
    num_after = _num_equal(lines[num_before:][::-1], others[num_before:][::-1])
    return "".join(lines[:num_before]), "".join(lines[len(lines) - num_after :])


def _num_equal(lines: Sequence[str], others: Sequence[str]) -> int:
    pairs = zip(lines, others, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


BENCHMARKS = (
    Benchmark(
        "quixbugs",
        "Write the wrong lines of a small program again; its tests decide.",
        read=reader(QuixBug),
        file_name="quixbugs_python.jsonl",
        origin="the hub's Muennighoff/quixbugs",
        headline="pass_rate",
        others=("exact_match",),
        max_new_tokens=256,
        baselines=(GOLD, EMPTY, BUGGY),
        seconds=10.0,  # levenshtein takes three of them on a busy machine
    ),
    Benchmark(
        "humanevalfix",
        "Write the wrong lines of a HumanEval solution again; its tests decide.",
        read=reader(HumanEvalFix),
        file_name="humanevalpack.jsonl",
        origin="the hub's bigcode/humanevalpack, Python",
        headline="pass_rate",
        others=("exact_match",),
        max_new_tokens=256,
        baselines=(GOLD, EMPTY, BUGGY),
    ),
)
