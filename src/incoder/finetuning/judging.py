"""A model judged on held-out holes: its infills by exact match and similarity, and what the right ones cost.

Infills are written greedily, with the stopping rules that end them for users. A run that was stopped goes on
where it was.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incoder.errors import IncoderError
from incoder.evaluation.benchmark import INFILL, Benchmark, Task
from incoder.evaluation.execution import Limits
from incoder.evaluation.methods import answer, benchmark_request
from incoder.evaluation.multiple_choice import TokenizedModel
from incoder.evaluation.run import Environment, ExecutionSettings, collect, settings_of, write_results
from incoder.request_settings import ALL_STOPPING_RULES

LOSSES = "losses.jsonl"
OnProgress = Callable[[str, int, int], None]


class StoppedError(IncoderError):
    """The user stopped the run between two holes."""


@dataclass(frozen=True, slots=True)
class HoleLoss:
    """What the right infill of a hole costs, in nats, and its number of tokens with its end."""

    nats: float
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """The content of a results.json, and the losses by task; empty for a benchmark without them."""

    results: Mapping[str, Any]
    losses: Mapping[str, HoleLoss]


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """A loaded model, with the name and fingerprint by which its results are known, and where it runs."""

    model: TokenizedModel
    identity: Mapping[str, str]
    environment: Environment


def judge(
    judged: JudgedModel,
    benchmark: Benchmark,
    tasks: Sequence[Task],
    data: Path,
    output: Path,
    *,
    with_losses: bool,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> Judgement:
    """Answer every task, and write `results.json` (as `incoder eval` does) and the losses into `output`.

    Raises:
        IncoderError: `output` has results of another model or other holes, or cannot be written.
        StoppedError: `should_stop()` became true.
    """
    request = benchmark_request(
        max_new_tokens=benchmark.max_new_tokens, num_candidates=1, stopping_rules=ALL_STOPPING_RULES
    )
    settings = settings_of(
        benchmark,
        data,
        method=INFILL,
        model=judged.identity,
        environment=judged.environment,
        decoding=request,
    )
    losses_path = output / LOSSES

    def answered(task: Task, number: int) -> str:
        if should_stop():
            raise StoppedError("stopped")
        completion = answer(task, INFILL, judged.model, request, number)
        if with_losses:  # before the completion is on disk, so that no task has only the latter
            _add_loss(losses_path, task, judged.model)
        return completion

    completions = collect(tasks, output, settings, answered, on_progress=on_progress)
    execution = ExecutionSettings(Limits(seconds=benchmark.seconds), with_ceiling=False)
    results = write_results(benchmark, tasks, completions, output, settings, execution, on_progress)
    return Judgement(results, _read_losses(losses_path) if with_losses else {})


def _add_loss(path: Path, task: Task, model: TokenizedModel) -> None:
    prompt = task.prompt_for(INFILL)
    [score] = model.score_infills(prompt.parts, [task.gold], path=prompt.path)
    row = {"task_id": task.key, "nats": -score.total_logprob, "num_tokens": score.num_tokens}
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + os.linesep)
    except OSError as error:
        raise IncoderError(f"cannot write {path}: {error.strerror}") from error


def _read_losses(path: Path) -> dict[str, HoleLoss]:
    """Read the losses; of a task that was scored twice, because a run was killed, the last one counts."""
    losses = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # a kill in the middle of a line: the task is scored again
            continue
        losses[row["task_id"]] = HoleLoss(row["nats"], row["num_tokens"])
    return losses
