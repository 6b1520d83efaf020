"""`incoder train`: train a model by a recipe, estimate a run, or say how one is going."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from incoder.cli import options
from incoder.cli.console import print_note
from incoder.cli.train_estimate import print_estimate
from incoder.cli.train_launch import launch_training
from incoder.cli.train_run import StopAfterStep, observer, print_end, train_rank
from incoder.cli.train_status import print_status


def train(
    recipe: Annotated[
        Path | None, typer.Argument(help="The training recipe (TOML).", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The folder of the run: checkpoints, metrics, model, loss curve.",
            show_default=False,
        ),
    ] = None,
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
    wandb: Annotated[
        str | None,
        typer.Option(
            metavar="PROJECT",
            help="Log to this project of Weights & Biases, too (extra: wandb).",
            show_default=False,
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Divide the run among processes on this machine, one for each GPU. docs/cluster.md "
            "describes runs on several machines.",
            show_default="1",
        ),
    ] = None,
    max_restarts: Annotated[
        int,
        typer.Option(min=0, help="How often --processes starts all of them again after one was killed."),
    ] = 3,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate", help="Print what the run would need (memory, time, traffic), and train nothing."
        ),
    ] = False,
    gpus: Annotated[int, typer.Option(min=1, help="The number of GPUs to estimate for.")] = 1,
    gpu: Annotated[str, typer.Option(help="The GPU to estimate for, such as H200 or A100-40GB.")] = "H100",
    network: Annotated[
        float | None,
        typer.Option(
            help="The Gbit/s of each machine's network, for --estimate.",
            show_default="of the GPU's usual machine",
        ),
    ] = None,
    status: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Print how the run in this folder is going, here or on another machine; needs no RECIPE.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result of --estimate or --status as one JSON object.")
    ] = False,
) -> None:
    """Train a model on the token shards that a recipe or --corpus names.

    Ctrl-C finishes the step, writes a checkpoint and stops. --resume continues from there, with the same
    losses as a run that was never stopped.

    Example: incoder train recipes/tiny/train.toml --output runs/tiny
    """
    if status is not None:
        print_status(status, as_json=json)
        return
    if recipe is None:
        raise typer.BadParameter("name a recipe, such as recipes/tiny/train.toml")
    from incoder.config import load_recipe
    from incoder.training.inputs import RunInputs
    from incoder.training.ranks import Place
    from incoder.training.recipe import TrainingRecipe

    named = [] if corpus is None else [options.as_override("tokens", corpus / "tokens")]
    named += [] if tokenizer is None else [options.as_override("tokenizer", tokenizer)]
    overrides = [*(overrides or []), *named]
    if output is None and not estimate:
        raise typer.BadParameter("name the folder of the run with --output")
    place = Place.of(os.environ)
    if place is not None and output is not None and not estimate:
        if processes is not None:
            raise typer.BadParameter("a launcher started this process; leave out --processes")
        train_rank(place, recipe, overrides, output, resume=resume, device=device, wandb=wandb)
        return
    # Report missing or wrong inputs before PyTorch is imported, which takes seconds.
    resolved = load_recipe(TrainingRecipe, recipe, overrides, on_renamed=print_note)
    if output is None or estimate:
        print_estimate(resolved, gpu=gpu, num_gpus=gpus, network_gbit_per_second=network, as_json=json)
        return
    inputs = RunInputs.open(resolved)
    if processes is not None and processes > 1:
        arguments = [str(recipe), "--output", str(output), *(f"--set={override}" for override in overrides)]
        launch_training(
            [*arguments, *([f"--wandb={wandb}"] if wandb else [])],
            output,
            num_processes=processes,
            max_restarts=max_restarts,
            resume=resume,
            device=device,
        )
        return

    from incoder.training.loop import train as run_training

    stop = StopAfterStep()
    with ExitStack() as stack:
        result = run_training(
            resolved,
            output,
            resume=resume,
            device=device,
            inputs=inputs,
            on_step=observer(stack, resolved, output, wandb),
            on_note=print_note,
            should_stop=stop.is_set,
        )
    print_end(result, resolved, output)
