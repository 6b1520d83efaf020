"""HumanEval infilling: a line or some lines cut out of a solved problem, judged by the problem's own tests.

Bavarian et al., arXiv 2207.14255; data of github.com/openai/human-eval-infilling, read from a file that the
caller has. A task's prompt ends with a newline, the text that was cut out ends with its own, and the suffix
begins with the next line: a completion has to hold indentation, line and newline.

Knows tasks, how a completion is put in its hole, and what is executed; not who completes it.
"""

import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

from incoder.errors import IncoderError


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One of the splits: how its tasks are called, the file they come in, and room for the longest answer."""

    name: str
    family: str
    file_name: str
    max_new_tokens: int


BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            "humaneval-single-line", "SingleLineInfilling", "HumanEval-SingleLineInfilling.jsonl.gz", 64
        ),
        Benchmark("humaneval-multi-line", "MultiLineInfilling", "HumanEval-MultiLineInfilling.jsonl.gz", 256),
    )
}


@dataclass(frozen=True, slots=True)
class Task:
    """One hole, with the fields of OpenAI's file."""

    task_id: str
    entry_point: str
    prompt: str
    suffix: str
    canonical_solution: str
    test: str

    @property
    def problem(self) -> str:
        """The HumanEval problem it was cut from, such as `HumanEval/1`."""
        return "/".join(self.task_id.split("/")[1:3])

    @property
    def num_lines(self) -> int:
        return self.canonical_solution.count("\n")

    def program(self, completion: str) -> str:
        """What is executed, as in OpenAI's harness."""
        return f"{self.prompt}{completion}{self.suffix}\n{self.test}\ncheck({self.entry_point})"


def data_file(path: Path, benchmark: Benchmark) -> Path:
    """The file itself, where `path` may be the folder that holds it."""
    return path / benchmark.file_name if path.is_dir() else path


def load_tasks(path: Path, benchmark: Benchmark, limit: int | None = None) -> list[Task]:
    """Read the tasks from OpenAI's `.jsonl.gz` (or `.jsonl`), or from a folder that holds it.

    `limit` keeps that many, evenly spaced, since neighbours are cut from the same problem.

    Raises:
        IncoderError: there is no such file, or it does not hold this benchmark's tasks; `limit` is below 1.
    """
    if limit is not None and limit < 1:
        raise IncoderError(f"the limit must be at least 1 task, got {limit}")
    try:
        tasks = [Task(**json.loads(line)) for line in _read_lines(data_file(path, benchmark))]
    except (ValueError, TypeError) as error:
        raise IncoderError(f"{path} does not hold tasks of {benchmark.name}: {error}") from error
    strays = [task.task_id for task in tasks if not task.task_id.startswith(f"{benchmark.family}/")]
    if strays or not tasks:
        found = f"it holds {strays[0]}" if strays else "it is empty"
        raise IncoderError(f"{path} does not hold tasks of {benchmark.name}: {found}")
    if limit is None or limit >= len(tasks):
        return tasks
    return [tasks[index * len(tasks) // limit] for index in range(limit)]


def first_lines(text: str, num_lines: int) -> str:
    """The first lines of `text`, blank ones in front left out, each with its newline."""
    lines = text.lstrip("\n").removesuffix("\n").split("\n")[:num_lines]
    return "".join(line + "\n" for line in lines)


def splices(task: Task, completion: str) -> dict[str, str]:
    """What is put in the hole, by the name of the rate that it counts for.

    `pass_rate`: the completion as it is. `pass_rate_newline`: with the newline that it may lack, as the
    paper's authors join their pieces. `pass_rate_gold_lines`: cut to as many lines as were taken out, which
    left to right always is.
    """
    return {
        "pass_rate": completion,
        "pass_rate_newline": completion if completion.endswith("\n") else completion + "\n",
        "pass_rate_gold_lines": first_lines(completion, task.num_lines),
    }


def _read_lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except FileNotFoundError as error:
        raise IncoderError(
            f"there is no {path}; the data is not fetched: take {path.name} from the data folder of "
            "github.com/openai/human-eval-infilling and give its path"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise IncoderError(f"cannot read {path}: {error}") from error
    return [line for line in content.decode("utf-8").split("\n") if line.strip()]
