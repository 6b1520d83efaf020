"""`incoder train`: train a model by a recipe, with progress on the terminal, until done or interrupted."""

import os
import signal
import sys
import time
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incoder.cli import options
from incoder.cli.console import notes, print_error, print_note
from incoder.cli.log_lines import LogLines
from incoder.errors import IncoderError

if TYPE_CHECKING:
    from incoder.training.loop import StepReport, TrainingResult
    from incoder.training.ranks import Place
    from incoder.training.recipe import TrainingRecipe

_GRACE = 5.0  # seconds in which a launcher passes on a signal that its processes have had


def train(
    recipe: Annotated[Path, typer.Argument(help="The training recipe (TOML).", show_default=False)],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The folder of the run: checkpoints, metrics, model, loss curve."
        ),
    ],
    corpus: Annotated[
        Path | None,
        typer.Option(
            help="Train on the tokens of this corpus instead of the recipe's.", show_default="the recipe's"
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="The tokenizer that the corpus was encoded with.", show_default="the recipe's"),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue from the newest checkpoint, or start; --set training.steps=N trains longer.",
        ),
    ] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace one setting, e.g. --set optimizer.lr=3e-4. Repeatable.",
        ),
    ] = None,
    device: options.Device = None,
) -> None:
    """Train a model on the token shards that a recipe or --corpus names.

    Ctrl-C finishes the step, writes a checkpoint and stops. --resume continues from there, with the same
    losses as a run that was never stopped.

    Example: incoder train recipes/tiny/train.toml --output runs/tiny
    """
    from incoder.config import load_recipe
    from incoder.training.inputs import RunInputs
    from incoder.training.ranks import Place
    from incoder.training.recipe import TrainingRecipe

    # Report missing or wrong inputs before PyTorch is imported, which takes seconds.
    named = [] if corpus is None else [options.as_override("tokens", corpus / "tokens")]
    named += [] if tokenizer is None else [options.as_override("tokenizer", tokenizer)]
    settings = [*(overrides or []), *named]
    place = Place.of(os.environ)
    if place is not None:
        _train_rank(place, recipe, settings, output, resume=resume, device=device)
        return
    resolved = load_recipe(TrainingRecipe, recipe, settings, on_renamed=print_note)
    inputs = RunInputs.open(resolved)

    from incoder.training.loop import train as run_training

    stop = _StopAfterStep()
    with _Watch(resolved.training.steps) as watch:
        result = run_training(
            resolved,
            output,
            resume=resume,
            device=device,
            inputs=inputs,
            on_step=watch.on_step,
            on_note=print_note,
            should_stop=stop.is_set,
        )
    _tell_end(result, resolved, output)


def _train_rank(
    place: "Place",
    recipe_file: Path,
    settings: list[str],
    output: Path,
    *,
    resume: bool,
    device: str | None,
) -> None:
    """Train as one of the processes that a launcher started; the first one speaks for all.

    Until they are joined, the first one of each machine speaks: the recipe may be missing on one of them.
    """
    from incoder.config import load_recipe
    from incoder.training.recipe import TrainingRecipe

    stop = _StopAfterStep(is_silent=place.rank > 0, grace=_GRACE)
    speaks = place.local_rank == 0
    try:
        recipe = load_recipe(
            TrainingRecipe, recipe_file, settings, on_renamed=print_note if place.rank == 0 else _say_nothing
        )
        from incoder.training.loop import train as run_training
        from incoder.training.process_group import connect, device_of

        own_device = device_of(place, device)
        ranks = connect(place, own_device, timeout_seconds=recipe.parallel.timeout_seconds)
        speaks = place.rank == 0
        with _Watch(recipe.training.steps) if speaks else nullcontext() as watch:
            result = run_training(
                recipe,
                output,
                resume=resume,
                device=own_device,
                ranks=ranks,
                on_step=watch.on_step if watch else _say_nothing,
                on_note=print_note if watch else _say_nothing,
                should_stop=stop.is_set,
            )
        ranks.close()
    except Exception as error:  # noqa: BLE001 - the process ends here, whatever it is
        if not isinstance(error, IncoderError):
            traceback.print_exc()
        elif speaks:
            print_error(str(error))
        sys.stderr.flush()
        os._exit(1)  # threads may still wait for processes that are gone; nothing is left to be written
    if speaks:
        _tell_end(result, recipe, output)
    elif not result.finished:
        raise typer.Exit(130)


def _say_nothing(_: object) -> None:
    """Another process says it."""


def _tell_end(result: "TrainingResult", recipe: "TrainingRecipe", output: Path) -> None:
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


class _StopAfterStep:
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
