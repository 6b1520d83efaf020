"""A run of an infilling benchmark: a model and tasks go in; completions, verdicts and rates come out.

Knows a model only as something that infills and completes.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from incoder.evaluation.execution import Limits, Verdict, run_programs, sandbox_layers
from incoder.evaluation.humaneval_infilling import (
    Benchmark,
    Task,
    data_file,
    first_lines,
    load_tasks,
    splices,
)
from incoder.evaluation.samples import Samples
from incoder.evaluation.statistics import cluster_bootstrap_interval
from incoder.files import write_text
from incoder.inference.edges import EdgeRule

# Tells the model the language: the paper's prompts begin with `<| file ext=.py |>`.
TASK_PATH = "solution.py"

# Raised whenever the same completions could get another score.
PROTOCOL_VERSION = 2

Method = Literal["infill", "left-to-right", "gold", "empty"]
METHODS_OF_A_MODEL = ("infill", "left-to-right")
Progress = Callable[[Literal["generating", "executing"], int, int], None]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How completions are drawn; temperature 0 is greedy.

    A benchmark judges what the model wrote: no `edge_rules` end its fills for it unless they are asked for.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 0.95
    seed: int = 0
    heal_tokens: bool = True
    edge_rules: tuple[EdgeRule, ...] = ()


class Infilled(Protocol):
    """What a model gives back: one text for each hole, or what it wrote after a prompt."""

    @property
    def infills(self) -> Sequence[str]: ...


class Infiller(Protocol):
    """The part of a loaded model that is used here."""

    def infill(
        self,
        parts: Sequence[str],
        *,
        path: str,
        temperature: float,
        top_p: float,
        max_new_tokens: int,
        seed: int,
        heal_tokens: bool,
        edge_rules: Sequence[EdgeRule],
    ) -> Infilled: ...

    def complete(
        self,
        prompt: str,
        *,
        path: str,
        temperature: float,
        top_p: float,
        max_new_tokens: int,
        seed: int,
        heal_tokens: bool,
    ) -> Infilled: ...


def checkpoint_fingerprint(folder: Path) -> str:
    """sha256 over a checkpoint's weights, configuration and vocabulary, whatever its folder is called."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("*.json")]):
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def complete_task(task: Task, method: Method, model: Infiller | None, decoding: Decoding) -> str:
    """The completion of one task: both sides in view, the left side only, the answer itself, or nothing.

    Left to right has no end-of-mask to end with, so it is cut after as many lines as were taken out (paper,
    section 4.1), blank ones in front not counted, and gets its newline.
    """
    if method == "gold":
        return task.canonical_solution
    if method == "empty":
        return ""
    assert model is not None, "only the floors do without a model"
    if method == "infill":
        return model.infill([task.prompt, task.suffix], path=TASK_PATH, **asdict(decoding)).infills[0]
    sampling = {name: value for name, value in asdict(decoding).items() if name != "edge_rules"}
    written = model.complete(task.prompt, path=TASK_PATH, **sampling).infills[0]
    return first_lines(written, task.num_lines)


def score(
    tasks: Sequence[Task],
    completions: Mapping[str, str],
    limits: Limits,
    *,
    num_workers: int = 2,
    on_verdict: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Run every completion's programs and return one row per task, ready for JSON.

    A program that several splices share runs once. `on_verdict` is given the number of programs done, and of
    all.
    """
    spliced = [splices(task, completions[task.task_id]) for task in tasks]
    programs = list(
        dict.fromkeys(
            task.program(text) for task, texts in zip(tasks, spliced, strict=True) for text in texts.values()
        )
    )
    verdicts = run_programs(
        programs,
        limits=limits,
        num_workers=num_workers,
        on_verdict=None if on_verdict is None else lambda done: on_verdict(done, len(programs)),
    )
    verdict_of = dict(zip(programs, verdicts, strict=True))
    return [
        _row(
            task,
            completions[task.task_id],
            {name: verdict_of[task.program(text)] for name, text in texts.items()},
        )
        for task, texts in zip(tasks, spliced, strict=True)
    ]


def summarise(rows: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, Any]:
    """Rates in [0, 1] over tasks, each with a 95 % interval by cluster bootstrap over HumanEval problems."""
    problems = [row["problem"] for row in rows]
    metrics: dict[str, Any] = {"num_tasks": len(rows), "num_problems": len(set(problems))}
    for name in rows[0]["rates"]:
        values = [float(row["rates"][name]) for row in rows]
        metrics[name] = sum(values) / len(values)
        metrics[f"{name}_interval"] = list(cluster_bootstrap_interval(values, problems, seed=seed))
    outcomes = [row["outcome"] for row in rows]
    metrics["outcomes"] = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    return metrics


def run_benchmark(
    benchmark: Benchmark,
    data: Path,
    output: Path,
    *,
    method: Method,
    model: Infiller | None,
    model_settings: Mapping[str, Any],
    decoding: Decoding,
    limit: int | None = None,
    limits: Limits | None = None,
    num_workers: int = 2,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Complete the tasks, run them, and write samples.jsonl, settings.json and results.json to `output`.

    Tasks that samples.jsonl already holds are not completed again. `model_settings` (name, fingerprint, …)
    tell one model from another; `model` may be None for the floors. Returns what results.json holds.

    Raises:
        IncoderError: see `load_tasks` and `Samples`.
    """
    limits = limits or Limits()
    tasks = load_tasks(data, benchmark, limit)
    needs_model = method in METHODS_OF_A_MODEL
    settings = {
        "benchmark": benchmark.name,
        "method": method,
        "model": dict(model_settings) if needs_model else None,
        "decoding": {**asdict(decoding), "edge_rules": list(decoding.edge_rules)} if needs_model else None,
        "path": TASK_PATH if needs_model else None,
        "data_sha256": hashlib.sha256(data_file(data, benchmark).read_bytes()).hexdigest(),
    }
    tell = on_progress or (lambda *_: None)
    with Samples(output, settings) as samples:
        missing = [task for task in tasks if task.task_id not in samples.completions]
        for number, task in enumerate(missing, start=len(tasks) - len(missing) + 1):
            samples.add(task.task_id, complete_task(task, method, model, decoding))
            tell("generating", number, len(tasks))
    rows = score(
        tasks,
        samples.completions,
        limits,
        num_workers=num_workers,
        on_verdict=lambda done, total: tell("executing", done, total),
    )
    results = {
        "protocol_version": PROTOCOL_VERSION,
        **settings,
        "execution": {**asdict(limits), **sandbox_layers()},
        "metrics": summarise(rows),
        "tasks": rows,
    }
    write_text(output / "results.json", json.dumps(results, indent=1) + "\n")
    return results


def _row(task: Task, completion: str, verdicts: Mapping[str, Verdict]) -> dict[str, Any]:
    gold = task.canonical_solution
    return {
        "task_id": task.task_id,
        "problem": task.problem,
        "completion": completion,
        "outcome": verdicts["pass_rate"].outcome,
        "detail": verdicts["pass_rate"].detail,
        "rates": {
            **{name: verdict.passed for name, verdict in verdicts.items()},
            "exact_match": completion == gold,
            "exact_match_without_last_newline": completion.rstrip("\n") == gold.rstrip("\n"),
            "exact_match_stripped": completion.strip() == gold.strip(),
        },
    }
