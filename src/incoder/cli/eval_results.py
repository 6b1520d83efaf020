"""The notes of `incoder eval` on its tasks before a model is loaded, and its result as text."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incoder.cli.console import print_note
from incoder.cli.eval_decoding import as_fill, in_words
from incoder.errors import IncoderError
from incoder.evaluation.benchmark import GOLD, Benchmark, Task
from incoder.request import InfillRequest

if TYPE_CHECKING:
    from incoder.inference.prompting_model import PromptingModel


def results_as_text(results: dict[str, Any], output: Path) -> str:
    """Return the result as text: every rate with its interval and its number of tasks."""
    metrics = results["metrics"]
    lines = [f"{results['benchmark']}, {results['method']}, {metrics['num_tasks']:,} tasks"]
    pass_at = [name for name in metrics if re.fullmatch(r"pass@\d+", name)]
    for name in (results["headline"], *results["others"], *pass_at):
        label = name.replace("_", " ")
        if name not in metrics:
            lines.append(f"  {label}: none of the tasks counts for it")
            continue
        interval = metrics[f"{name}_interval"]
        shown = (
            f"no interval: {metrics[f'{name}_interval_missing']}"
            if interval is None
            else "95 % interval " + "–".join(f"{end:.1%}" for end in interval)
        )
        num_tasks = metrics[f"{name}_num_tasks"]
        lines.append(f"  {label} {metrics[name]:.1%} of {num_tasks:,} tasks ({shown})")
    if results["ceiling"] is not None:
        lines.append(
            f"  {results['headline'].replace('_', ' ')} of the gold answers {results['ceiling']:.1%}"
        )
    lines.append(f"each task is in {output / 'results.json'}")
    return "\n".join(lines) + "\n"


def tell_decoding(decoding: InfillRequest, model: "PromptingModel") -> None:
    """Print the decoding settings of this run, and the defaults of `incoder fill` if they differ."""
    usual = as_fill(None, model)
    print_note(f"decoding: {in_words(decoding)}")
    if decoding != usual:
        print_note(f"incoder fill without options (--defaults): {in_words(usual)}")
    else:
        print_note("incoder fill without options uses the same settings")


def fit_for_left_to_right(tasks: list[Task], method: str) -> list[Task]:
    """Return the tasks that a model can do without the text after the hole.

    Raises:
        IncoderError: there is no such task.
    """
    possible = [task for task in tasks if task.can_go_left_to_right]
    if not possible:
        raise IncoderError(
            "all holes of these tasks end inside a line, and from the left side alone a model cannot know "
            f"where; {method} is for holes that end with a line"
        )
    if len(possible) < len(tasks):
        print_note(
            f"{len(tasks) - len(possible):,} of {len(tasks):,} tasks are left out: their holes end inside a "
            f"line, where {method} cannot know to end"
        )
    return possible


def tell_not_executed(benchmark: Benchmark, tasks: Sequence[Task]) -> None:
    """Print, before the model writes, how many tasks cannot count for the headline rate."""
    counted = sum(_counts(task, benchmark.headline) for task in tasks)
    if counted < len(tasks):
        print_note(
            f"{benchmark.headline.replace('_', ' ')} is over {counted:,} of {len(tasks):,} tasks: only "
            "Python is executed here, the others count for exact match (choose with --language)"
        )


def _counts(task: Task, rate: str) -> bool:
    gold = task.baselines[GOLD]
    return rate in task.programs(gold) or task.rates(gold).get(rate) is not None


def tell_left_out(benchmark: Benchmark, path: Path, num_rows: int) -> None:
    print_note(f"{num_rows:,} rows of {path} are not part of {benchmark.name} and were left out")


def tell_other_files(path: Path, others: list[Path]) -> None:
    names = ", ".join(other.name for other in others)
    print_note(f"judging by {path.name}; {path.parent} also holds {names}: name one with --data")
