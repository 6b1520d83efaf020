"""`incoder train`: train a model by a recipe, with progress on the terminal, until done or interrupted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incoder.cli import options
from incoder.cli.console import notes, print_note
from incoder.cli.log_lines import LogLines

if TYPE_CHECKING:
    from incoder.training.loop import StepReport


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
    import signal
    import threading

    from incoder.config import load_recipe
    from incoder.training.inputs import RunInputs
    from incoder.training.recipe import TrainingRecipe

    # Report missing or wrong inputs before PyTorch is imported, which takes seconds.
    named = [] if corpus is None else [options.as_override("tokens", corpus / "tokens")]
    named += [] if tokenizer is None else [options.as_override("tokenizer", tokenizer)]
    resolved = load_recipe(TrainingRecipe, recipe, [*(overrides or []), *named], on_renamed=print_note)
    inputs = RunInputs.open(resolved)

    from incoder.training.loop import train as run_training

    stop = threading.Event()

    def stop_after_this_step(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)  # a second Ctrl-C stops at once
        notes.print("stopping after this step …")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_after_this_step)
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
    if not result.finished:
        notes.print(
            f"stopped after step {result.steps_done} of {resolved.training.steps}; "
            "run the same command again with --resume to continue",
            markup=False,
        )
        raise typer.Exit(130)
    notes.print(
        f"the model is in {result.model_folder}, the loss curve in {output / 'loss.png'}", markup=False
    )


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
