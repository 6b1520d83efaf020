"""A run of a benchmark: collect the completions of its tasks, judge them, and write results.json.

Completions come from a model, from a baseline that needs no model, or from a file. A run that was stopped
continues where it was.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from incoder import __version__
from incoder.evaluation.benchmark import Benchmark, Task
from incoder.evaluation.execution import Limits, describe_sandbox
from incoder.evaluation.judging import Completions, gold, judge, summarise
from incoder.evaluation.methods import described
from incoder.evaluation.samples import Samples
from incoder.files import make_folder, sha256_of, write_text
from incoder.output_folder import refuse_foreign, written_with
from incoder.request import InfillRequest

# Incremented whenever the same completions could get another score, or the same model write others.
PROTOCOL_VERSION = 7

_RESULTS = "results.json"

Stage = Literal["generating", "executing", "executing gold"]
Progress = Callable[[Stage, int, int], None]


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """The limits of a program, how many run at the same time, and whether the gold answers run, too."""

    limits: Limits
    num_workers: int = 2
    with_ceiling: bool = True


@dataclass(frozen=True, slots=True)
class Environment:
    """The infilling format and the hardware of a run; the last digits of a model's logits depend on them."""

    infilling_format: str
    dtype: str
    device: str


def checkpoint_fingerprint(folder: Path) -> str:
    """The sha256 of a checkpoint's weights, configuration and vocabulary, whatever its folder's name."""
    if folder.is_file():  # a GGUF file holds all of them
        return sha256_of(folder)
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("*.json")]):
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def collect(
    tasks: Sequence[Task],
    output: Path,
    settings: Mapping[str, Any],
    answer: Callable[[Task, int], str],
    *,
    num_samples: int = 1,
    on_progress: Progress | None = None,
) -> dict[str, list[str]]:
    """Return the completions of every task; call `answer` for those that samples.jsonl in `output` lacks.

    New completions are added to the file. `answer` takes a task and the number of the sample, from 0.

    Raises:
        IncoderError: `output` has completions that were made with other settings; see `Samples`.
    """
    check_results_file(output)  # before the work, not after it
    with Samples(output, settings) as samples:
        missing = [
            (task, number)
            for number in range(num_samples)
            for task in tasks
            if len(samples.completions.get(task.key, ())) <= number
        ]
        total = len(tasks) * num_samples
        for done, (task, number) in enumerate(missing, start=total - len(missing) + 1):
            samples.add(task.key, answer(task, number))
            if on_progress is not None:
                on_progress("generating", done, total)
    return {task.key: samples.completions[task.key][:num_samples] for task in tasks}


def settings_of(
    benchmark: Benchmark,
    data: Path,
    *,
    method: str,
    model: Mapping[str, Any] | None = None,
    environment: Environment | None = None,
    decoding: InfillRequest | None = None,
) -> dict[str, Any]:
    """The settings that distinguish the completions of one run from those of another."""
    return {
        "protocol_version": PROTOCOL_VERSION,
        "benchmark": benchmark.name,
        "method": method,
        "model": None if model is None else dict(model),
        **(
            {field.name: None for field in fields(Environment)}
            if environment is None
            else asdict(environment)
        ),
        "decoding": None if decoding is None else described(decoding),
        "data_sha256": sha256_of(data),
    }


def check_results_file(output: Path) -> None:
    """Raise if a folder has a results.json that this program did not write; writing would replace it.

    Raises:
        IncoderError: the file is from another program.
    """
    is_ours = written_with(output / _RESULTS, "protocol_version")
    refuse_foreign(output, (_RESULTS,), ours=(_RESULTS,) if is_ours else ())


def write_results(
    benchmark: Benchmark,
    tasks: Sequence[Task],
    completions: Completions,
    output: Path,
    settings: Mapping[str, Any],
    execution: ExecutionSettings,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Judge the completions and write results.json to `output`; returns its content.

    Raises:
        IncoderError: see `check_results_file`.
    """
    check_results_file(output)
    tell = on_progress or (lambda *_: None)

    def rows_of(answers: Completions, stage: Stage) -> list[dict[str, Any]]:
        return judge(
            tasks,
            answers,
            execution.limits,
            num_workers=execution.num_workers,
            on_verdict=lambda done, total: tell(stage, done, total),
        )

    make_folder(output)
    rows = rows_of(completions, "executing")
    results: dict[str, Any] = {
        "incoder_version": __version__,
        **settings,
        "num_samples": min(len(row["samples"]) for row in rows),
        "execution": {**asdict(execution.limits), **describe_sandbox()},
        "headline": benchmark.headline,
        "others": list(benchmark.others),
        "metrics": summarise(rows),
        "ceiling": None,
        "tasks": rows,
    }
    if execution.with_ceiling:
        answers = gold(tasks)
        if answers != completions:
            rows = rows_of(answers, "executing gold")
        results["ceiling"] = summarise(rows).get(benchmark.headline)
    results = json.loads(json.dumps(results))
    write_text(output / _RESULTS, json.dumps(results, indent=1) + "\n")
    return results
