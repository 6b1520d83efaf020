"""MBPP: a program from one sentence and a test (Austin et al., arXiv 2108.07732).

Zero-shot, as the authors of the paper prompt: a docstring of the sentence and the first test, then the
program. The test problems are those with ids 11 to 510; rows of the others are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incoder.evaluation.answers import exact_matches
from incoder.evaluation.benchmark import EMPTY, GOLD, INFILL, LEFT_TO_RIGHT, RERANK, Benchmark, Question, Task
from incoder.evaluation.rows import reader

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
    def baselines(self) -> Mapping[str, str]:
        return {GOLD: self.code, EMPTY: ""}

    def question(self, method: str) -> Question:
        del method
        return Question((f'"""\n{self.text}\n{self.test_list[0]}\n"""\n', ""), stop=_STOP)

    def programs(self, completion: str) -> Mapping[str, str]:
        return {"pass_rate": "\n".join((completion, self.test_setup_code, *self.test_list))}

    def rates(self, completion: str) -> Mapping[str, float | None]:
        return exact_matches(completion, self.code)


_read_sentence = reader(Sentence)


def _read(row: Mapping[str, Any], number: int) -> Task | None:
    sentence = _read_sentence(row, number)
    return sentence if sentence.task_id in _TEST_IDS else None


BENCHMARKS = (
    Benchmark(
        "mbpp",
        "Write a program from a sentence and a test; its tests decide.",
        read=_read,
        file_name="mbpp.jsonl",
        origin="github.com/google-research/google-research, folder mbpp",
        headline="pass_rate",
        max_new_tokens=256,
        methods=(LEFT_TO_RIGHT, RERANK, INFILL),
        seconds=10.0,
    ),
)
