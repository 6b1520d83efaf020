"""MBPP: write a program from one sentence and a test (Austin et al., arXiv 2108.07732).

The prompt is zero-shot, as in the InCoder paper: a docstring with the sentence and the first test, then the
program. The test problems have the ids 11 to 510; other rows are left out. All rows of MBPP+ (evalplus.py)
are test problems.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incoder.evaluation.benchmark import INFILL, LEFT_TO_RIGHT, RERANK, Benchmark, Prompt, Task
from incoder.evaluation.benchmark_row import BenchmarkRow, reader
from incoder.evaluation.benchmarks import evalplus
from incoder.evaluation.programs import Program

_TEST_IDS = range(11, 511)
_STOP = ("\nassert", "\nclass", "\nif", '\n"""', "\nprint", "[DONE]")


@dataclass(frozen=True, slots=True)
class Sentence(Task):
    """One program, with the fields of Google's file."""

    task_id: int
    text: str
    code: str
    test_setup_code: str
    test_list: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.test_list:
            raise ValueError("test_list: is empty")

    @property
    def key(self) -> str:
        return f"MBPP/{self.task_id}"

    @property
    def problem(self) -> str:
        return self.key

    @property
    def gold(self) -> str:
        return self.code

    def prompt_for(self, method: str) -> Prompt:
        del method
        return Prompt((f'"""\n{self.text}\n{self.test_list[0]}\n"""\n', ""), stop=_STOP)

    def programs(self, completion: str) -> Mapping[str, Program]:
        return {"pass_rate": Program(completion, "\n".join((self.test_setup_code, *self.test_list)))}


@dataclass(frozen=True, slots=True)
class PlusSentence(BenchmarkRow):
    """One program of MBPP+; `prompt` is the docstring, and `tests` is code that runs after the program."""

    prompt: str
    code: str
    tests: str

    @property
    def gold(self) -> str:
        return self.code

    def prompt_for(self, method: str) -> Prompt:
        del method
        return Prompt((self.prompt, ""), stop=_STOP)

    def programs(self, completion: str) -> Mapping[str, Program]:
        return {"pass_rate": Program(completion, self.tests)}


@dataclass(frozen=True, slots=True)
class _Inputs:
    """A row of EvalPlus' own file of MBPP+: inputs, and a solution that computes the outputs."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str


@dataclass(frozen=True, slots=True)
class _Assertions:
    """A row of MBPP+ on the hub."""

    task_id: int
    prompt: str
    code: str
    test_imports: tuple[str, ...]
    test_list: tuple[str, ...]
    test: str


_read_sentence = reader(Sentence)
_inputs, _assertions = reader(_Inputs), reader(_Assertions)


def _read_inputs(row: Mapping[str, Any], number: int) -> Task:
    plus = _inputs(row, number)
    test = evalplus.test_by_reference(row, reference=plus.canonical_solution)
    return PlusSentence(
        plus.task_id, plus.prompt, plus.canonical_solution, f"{test}\ncheck({plus.entry_point})"
    )


def _read_assertions(row: Mapping[str, Any], number: int) -> Task:
    plus = _assertions(row, number)
    if not plus.test_list:
        raise ValueError("test_list: is empty")
    prompt = f'"""\n{plus.prompt}\n{plus.test_list[0]}\n"""\n'
    tests = "\n".join((*plus.test_imports, *plus.test_list, evalplus.without_numpy(plus.test)))
    return PlusSentence(f"Mbpp/{plus.task_id}", prompt, plus.code, tests)


def _read(row: Mapping[str, Any], number: int) -> Task | None:
    if evalplus.has_inputs(row):
        return _read_inputs(row, number)
    if "prompt" in row and "test" in row:
        return _read_assertions(row, number)
    sentence = _read_sentence(row, number)
    return sentence if sentence.task_id in _TEST_IDS else None


BENCHMARKS = (
    Benchmark(
        "mbpp",
        "Write a program from a sentence and a test; its tests decide.",
        read=_read,
        file_name="mbpp.jsonl",
        other_files=("MbppPlus*.jsonl*",),
        origin="github.com/google-research/google-research, folder mbpp",
        headline="pass_rate",
        max_new_tokens=256,
        methods=(LEFT_TO_RIGHT, RERANK, INFILL),
        seconds=10.0,
    ),
)
