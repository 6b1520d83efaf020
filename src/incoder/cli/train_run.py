"""A training run in this process: its progress on the terminal, its stop, and its end."""

import os
import signal
import sys
import time
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from incoder.cli.console import notes, print_error, print_note
from incoder.cli.log_lines import LogLines

if TYPE_CHECKING:
    from collections.abc import Callable

    from incoder.training.loop import StepReport, TrainingResult
    from incoder.training.ranks import Place
    from incoder.training.recipe import TrainingRecipe

_GRACE = 5.0  # seconds in which a launcher passes on a signal that its processes have had


def train_rank(
    place: "Place",
    recipe_file: Path,
    overrides: list[str],
    output: Path,
    *,
    resume: bool,
    device: str | None,
    wandb: str | None,
) -> None:
    """Train as one of the processes that a launcher started; the first one prints for all.

    Before the processes are joined, the first one of each machine prints errors, since the recipe may be
    missing on one machine. Our own launcher prints for all; it gets the error of a process by a file.
    """
    from incoder.config import load_recipe
    from incoder.errors import IncoderError
    from incoder.training.last_words import LostProcessError
    from incoder.training.process_error import VARIABLE, leave_error
    from incoder.training.recipe import TrainingRecipe

    error_file = os.environ.get(VARIABLE)
    stop = StopAfterStep(is_silent=place.rank > 0, grace=_GRACE)
    speaks = place.local_rank == 0 and error_file is None
    try:
        recipe = load_recipe(
            TrainingRecipe,
            recipe_file,
            overrides,
            on_renamed=print_note if place.rank == 0 and error_file is None else _say_nothing,
        )
        from incoder.training.loop import train as run_training
        from incoder.training.process_group import connect, device_of
        from incoder.training.watch import Watchdog

        own_device = device_of(place, device)
        ranks = connect(place, own_device, timeout_seconds=recipe.parallel.timeout_seconds)
        speaks = place.rank == 0 and error_file is None
        with ExitStack() as stack:
            if error_file is None:  # else the launcher has one
                stack.enter_context(Watchdog(output, print_note, rank=place.rank))
            result = run_training(
                recipe,
                output,
                resume=resume,
                device=own_device,
                ranks=ranks,
                on_step=observer(stack, recipe, output, wandb) if place.rank == 0 else _say_nothing,
                on_note=print_note if place.rank == 0 else _say_nothing,
                should_stop=stop.is_set,
            )
        ranks.close()
    except Exception as error:  # noqa: BLE001 - the process ends here, whatever it is
        if error_file is not None:
            leave_error(Path(error_file), error, is_lost=isinstance(error, LostProcessError))
        if not isinstance(error, IncoderError):
            traceback.print_exc()
        elif speaks:
            print_error(str(error))
        sys.stderr.flush()
        os._exit(1)  # threads may still wait for processes that are gone; nothing is left to be written
    if place.rank == 0:
        print_end(result, recipe, output)
    elif not result.finished:
        raise typer.Exit(130)


def observer(
    stack: ExitStack, recipe: "TrainingRecipe", output: Path, wandb: str | None
) -> "Callable[[StepReport], None]":
    """Show progress, and log to a project of Weights & Biases if there is one, until `stack` is closed."""
    watch = stack.enter_context(_Watch(recipe.training.steps))
    if wandb is None:
        return watch.on_step
    from incoder.training.wandb_log import WandbLog

    log = stack.enter_context(WandbLog(wandb, output, recipe, print_note))

    def on_step(report: "StepReport") -> None:
        watch.on_step(report)
        log.write(report.steps_done - 1, report.metrics)

    return on_step


def _say_nothing(_: object) -> None:
    """Another process says it."""


def print_end(result: "TrainingResult", recipe: "TrainingRecipe", output: Path) -> None:
    """Say where the model is, or that the run stopped before its end, which is exit status 130."""
    if not result.finished:
        notes.print(
            f"stopped after step {result.steps_done} of {recipe.training.steps}; "
            "run the same command again with --resume to continue",
            markup=False,
        )
        raise typer.Exit(130)
    notes.print(
        f"the model is in {result.model_folder}, the loss curve in {output / 'loss.png'}", markup=False
    )


class StopAfterStep:
    """Ctrl-C and SIGTERM end the run after its step; a second one ends the process at once.

    A launcher passes on a Ctrl-C that the terminal has sent to its processes already: during `grace` seconds
    after the first signal, another one is the same.
    """

    def __init__(self, *, is_silent: bool = False, grace: float = 0.0) -> None:
        self._stopped_at: float | None = None
        self._is_silent = is_silent
        self._grace = grace
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def is_set(self) -> bool:
        return self._stopped_at is not None

    def _stop(self, number: int, _: object) -> None:
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            if not self._is_silent:
                notes.print("stopping after this step …")
        elif time.monotonic() - self._stopped_at >= self._grace:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


class _Watch:
    """Shows progress: a bar on a terminal, otherwise a line a minute and a line for each evaluation."""

    def __init__(self, num_steps: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._num_steps = num_steps
        self._lines = LogLines(print_note)
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[speed]} tokens/s"),
            TimeRemainingColumn(),
            console=notes,
            disable=not notes.is_terminal,
        )
        self._task = self._progress.add_task("training", total=num_steps, loss="–", speed="–")

    def __enter__(self) -> "_Watch":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_step(self, report: "StepReport") -> None:
        metrics = report.metrics
        loss, speed = f"{metrics['loss']:.3f}", f"{metrics['tokens_per_second']:,.0f}"
        self._progress.update(self._task, completed=report.steps_done, loss=loss, speed=speed)
        if notes.is_terminal:
            return
        if "validation_loss" in metrics:
            infills = metrics.get("validation_infill_loss")
            notes.print(
                f"step {report.steps_done}/{self._num_steps}  loss {loss}  held out "
                f"{metrics['validation_loss']:.3f} ({metrics['validation_bits_per_byte']:.3f} bits/byte)"
                + (f", in infills {infills:.3f}" if infills is not None else "")
            )
        else:
            self._lines.tell(f"step {report.steps_done}/{self._num_steps}  loss {loss}  {speed} tokens/s")
