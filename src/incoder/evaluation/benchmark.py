"""What a benchmark is: rows of a file become tasks; a task asks a model, and judges what it answered.

A task knows what it shows, how an answer is cut to what counts, which programs decide about it and which
rates it counts for. It knows no model and runs nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from incoder.evaluation.answers import as_long_as, exact_matches, num_lines
from incoder.evaluation.programs import AnyProgram

INFILL, INFILL_RERANK, LEFT_TO_RIGHT, RERANK = "infill", "infill-rerank", "left-to-right", "rerank"
GOLD, EMPTY = "gold", "empty"

# Tells the model the language: the paper's prompts begin with `<| file ext=.py |>`.
PYTHON_FILE = "solution.py"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is shown: the text around the holes, or, as the only part, a text to go on with.

    `path` tells the language, a `stop` string ends what is written.
    """

    parts: tuple[str, ...]
    path: str = PYTHON_FILE
    stop: tuple[str, ...] = ()


class Task(ABC):
    """One task; subclasses are dataclasses with the fields of a row."""

    __slots__ = ()

    @property
    @abstractmethod
    def key(self) -> str:
        """The task's id in samples and results."""

    @property
    @abstractmethod
    def problem(self) -> str:
        """What it was made from, such as `HumanEval/1`: tasks of one problem stand or fall together."""

    @property
    def code_language(self) -> str:
        """The language of the code: its name in `corpus/languages.py` in lower case."""
        return "python"

    @property
    def is_cut_by_lines(self) -> bool:
        """Whether left to right is given the number of missing lines, because it has no other end."""
        return False

    @property
    def max_lines(self) -> int | None:
        """The lines after which left to right ends, not counting leading blank ones; None for no limit."""
        return num_lines(self.gold) if self.is_cut_by_lines else None

    @property
    def can_go_left_to_right(self) -> bool:
        """Whether left to right can answer: if lines end it, the hole must end where a line does."""
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
        """What counts of what a model wrote, hole by hole."""
        if self.is_cut_by_lines and method in (LEFT_TO_RIGHT, RERANK):
            return as_long_as(infills[0], self.gold)
        return infills[0]

    @property
    def choices(self) -> tuple[str, ...]:
        """The only answers there are, where nothing is written and the more probable one counts."""
        return ()

    def full_text(self, completion: str) -> str:
        """The text with its completion, as reranking scores it."""
        prefix, *suffixes = self.prompt_for(INFILL).parts
        return prefix + "".join(completion + suffix for suffix in suffixes)

    def programs(self, completion: str) -> Mapping[str, AnyProgram]:
        """What is executed, by the name of the rate that it decides; a program that passes counts 1."""
        del completion
        return {}

    def rates(self, completion: str) -> Mapping[str, float | None]:
        """The rates in [0, 1] that need no execution; None if the task does not count for a rate.

        By default these are exact match and its two lenient forms.
        """
        return exact_matches(completion, self.gold)

    @property
    def right_context(self) -> float | None:
        """The share of the lines that can be seen which stand behind the hole, where that means something."""
        return None


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a data set on the Hugging Face hub, in one revision of it."""

    repository: str
    file: str
    revision: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Tasks of one kind and the settings that its numbers in papers were made with.

    `read` makes a task of a row and its number, counted from 1, None where the row is not part of the
    benchmark; it raises ValueError for a broken one. `headline` is the rate that tables show, `others` those
    beside it. `origin` says where people find the data, `file_name` is its name there, and `other_files` are
    patterns (`*` is any text) for the names of its other files. `seconds` is the limit of one program;
    `num_candidates` and `rank_by` are those of reranking left to right.
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
