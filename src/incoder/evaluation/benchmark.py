"""Benchmarks and their tasks: the rows of a file become tasks, and a task judges the completions for it.

A task knows its prompt, how a completion is cut before it is judged, which programs are executed to judge it,
and the rates to which it counts. It knows no model and executes nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from incoder.evaluation.answers import as_long_as, exact_matches, num_lines
from incoder.evaluation.programs import AnyProgram

INFILL, INFILL_RERANK, LEFT_TO_RIGHT, RERANK = "infill", "infill-rerank", "left-to-right", "rerank"
GOLD, EMPTY = "gold", "empty"

# The name shows the language to the model: the paper's prompts begin with `<| file ext=.py |>`.
PYTHON_FILE = "solution.py"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt: the parts of the text around the holes; a single part is a text to continue.

    `path` shows the language, and a `stop` string ends an infill or a completion.
    """

    parts: tuple[str, ...]
    path: str = PYTHON_FILE
    stop: tuple[str, ...] = ()


class Task(ABC):
    """One task of a benchmark; subclasses are dataclasses with the fields of a row."""

    __slots__ = ()

    @property
    @abstractmethod
    def key(self) -> str:
        """The id of the task in samples and results."""

    @property
    @abstractmethod
    def problem(self) -> str:
        """The problem from which the task was made, such as `HumanEval/1`; intervals resample problems."""

    @property
    def code_language(self) -> str:
        """The language of the code: its name in the corpus's table of languages, in lower case."""
        return "python"

    @property
    def is_cut_by_lines(self) -> bool:
        """Whether a left-to-right completion is cut to the gold number of lines, as it has no other end."""
        return False

    @property
    def max_lines(self) -> int | None:
        """The number of lines after which left to right ends, not counting leading blank ones, or None."""
        return num_lines(self.gold) if self.is_cut_by_lines else None

    @property
    def can_go_left_to_right(self) -> bool:
        """Whether left to right can do this task: if lines end it, the hole must end at the end of a line."""
        rest_of_line = self.prompt_for(INFILL).parts[-1].partition("\n")[0]
        return not self.is_cut_by_lines or self.gold.endswith("\n") or not rest_of_line.strip()

    @property
    @abstractmethod
    def gold(self) -> str:
        """The right completion."""

    @property
    def baselines(self) -> Mapping[str, str]:
        """Completions that need no model, by name: `gold` is the right one, `empty` is none."""
        return {GOLD: self.gold, EMPTY: ""}

    @abstractmethod
    def prompt_for(self, method: str) -> Prompt:
        """The prompt of this task for a method."""

    def completion(self, infills: Sequence[str], method: str) -> str:
        """The completion to judge, from the model's infills of all holes."""
        if self.is_cut_by_lines and method in (LEFT_TO_RIGHT, RERANK):
            return as_long_as(infills[0], self.gold)
        return infills[0]

    @property
    def choices(self) -> tuple[str, ...]:
        """The possible answers of a multiple-choice task, of which the most probable counts; else empty."""
        return ()

    def full_text(self, completion: str) -> str:
        """The full text with a completion in each hole, which reranking scores."""
        prefix, *suffixes = self.prompt_for(INFILL).parts
        return prefix + "".join(completion + suffix for suffix in suffixes)

    def programs(self, completion: str) -> Mapping[str, AnyProgram]:
        """The programs to execute, by the rate that each of them decides; a program that passes counts 1."""
        del completion
        return {}

    def rates(self, completion: str) -> Mapping[str, float | None]:
        """The rates in [0, 1] that need no execution; None if the task does not count for a rate.

        By default these are exact match and its two lenient forms.
        """
        return exact_matches(completion, self.gold)

    @property
    def right_context(self) -> float | None:
        """The share of the visible lines that come after the hole; None if the benchmark has no such rate."""
        return None


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a data set on the Hugging Face hub, at one revision."""

    repository: str
    file: str
    revision: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark, with the settings of its published numbers.

    `read` makes a task of a row and its number, counted from 1. It returns None if the row is not part of the
    benchmark, and raises ValueError if the row is broken. `headline` is the rate that tables show first, and
    `others` are the other rates. `origin` says where people find the data, `file_name` is its name there, and
    `other_files` are patterns (`*` is any text) for the names of its other files. `seconds` is the time limit
    of one program. Reranking left to right uses `num_candidates` and `rank_by`.
    """

    name: str
    about: str
    read: Callable[[Mapping[str, Any], int], Task | None]
    file_name: str
    origin: str
    headline: str
    max_new_tokens: int
    others: tuple[str, ...] = ()
    other_files: tuple[str, ...] = ()
    methods: tuple[str, ...] = (INFILL, INFILL_RERANK, LEFT_TO_RIGHT, RERANK)
    baselines: tuple[str, ...] = (GOLD, EMPTY)
    seconds: float = 3.0
    num_candidates: int = 10
    rank_by: Literal["mean", "total"] = "total"
    hub: HubFile | None = None
