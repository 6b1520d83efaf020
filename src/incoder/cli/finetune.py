"""`incoder finetune`: a model fine-tuned on one's own code, and judged on lines of it before and after."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incoder.cli import options
from incoder.cli.console import print_note, write_result
from incoder.errors import IncoderError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from incoder.finetuning.run import FineTuned, Watch
    from incoder.finetuning.settings import FineTuning
    from incoder.training.loop import StepReport
    from incoder.training.recipe import TrainingRecipe


def finetune(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Folders of your code, such as checkouts.", metavar="FOLDER", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A new folder for the run.", show_default=False),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="The base model: an embedded one, a checkpoint folder, or a model on the hub.",
            metavar="NAME|FOLDER",
        ),
    ] = options.DEFAULT_MODEL,
    revision: options.Revision = None,
    full: Annotated[bool, typer.Option("--full", help="Train all weights, not a LoRA adapter.")] = False,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Train for at most about this time; the steps follow from a measured speed.",
            show_default="until --epochs",
        ),
    ] = None,
    epochs: Annotated[float, typer.Option(help="How often at most the code is read.")] = 3.0,
    held_out: Annotated[
        float, typer.Option(help="The share of the files that is held out, in groups of one name.")
    ] = 0.15,
    holes: Annotated[int, typer.Option(help="At most this number of held-out lines is filled.")] = 400,
    context: Annotated[
        int,
        typer.Option(help="The characters before a held-out line that the model sees; half as many after."),
    ] = 4000,
    rank: Annotated[int, typer.Option(help="The rank of the adapter.")] = 16,
    alpha: Annotated[
        float | None, typer.Option(help="The adapter counts alpha / rank times.", show_default="2 · rank")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="The peak learning rate.", show_default="by the size of the model")
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(help="Read only this language. Repeatable.", show_default="all 28"),
    ] = None,
    licence: Annotated[
        list[str] | None,
        typer.Option(
            help="Read only files under this licence (SPDX), by the licence files beside them. Repeatable.",
            show_default="not asked for",
        ),
    ] = None,
    humaneval: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="HumanEval-SingleLineInfilling or its folder: also measure how much the model forgets.",
            show_default=False,
        ),
    ] = None,
    humaneval_limit: Annotated[
        int | None, typer.Option(help="At most this number of its tasks.", show_default="all")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace a setting of the training recipe, e.g. --set training.tokens_per_step=8192. "
            "Repeatable.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed holds out other files.")] = 0,
    device: options.Device = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --output where it was stopped.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be read and held out; train and write nothing."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Fine-tune a model on your own code, and show on held-out lines of it whether that helped.

    Files that git ignores, generated and vendored files, and files named after secrets stay out; addresses
    and keys are replaced; of near-duplicates one is kept. Training stops by itself when the held-out loss no
    longer falls, and the best weights are kept. The result is a LoRA adapter in peft's layout (--adapter in
    all commands) or, with --full, a model; report.md has the figures. docs/own-code.md is a walkthrough.

    Example: incoder finetune ~/src/ours --minutes 20 --output runs/ours
    """
    from incoder.cli.upstream import is_upstream

    if is_upstream(model):
        raise typer.BadParameter("a model on a server cannot be trained; name a folder or a model on the hub")
    if output is None and not dry_run:
        raise typer.BadParameter("name a folder for the run with --output")
    from incoder.finetuning.settings import FineTuning

    given: dict[str, Any] = {
        "folders": [str(folder.absolute()) for folder in folders],
        "model": model,
        "revision": revision,
        "full": full,
        "minutes": minutes,
        "epochs": epochs,
        "held_out": held_out,
        "num_holes": holes,
        "context": context,
        "rank": rank,
        "alpha": alpha,
        "lr": lr,
        "languages": language or (),
        "licences": licence or (),
        "humaneval": humaneval,
        "humaneval_limit": humaneval_limit,
        "seed": seed,
        "overrides": overrides or (),
    }
    settings = _checked(FineTuning, given)
    if dry_run:
        _dry_run(settings)
        return
    options.fetch(model, revision)
    assert output is not None
    from incoder.finetuning.judging import StoppedError
    from incoder.finetuning.run import finetune as run

    with ExitStack() as stack:
        try:
            result = run(settings, output, resume=resume, device=device, watch=_watch(stack))
        except StoppedError:
            result = None
    if result is None or result.measures is None:
        print_note(f"stopped; run the same command again with --resume to continue in {output}")
        raise typer.Exit(130)
    _print_end(result, settings, output, as_json=json)


def _checked(schema: type["FineTuning"], given: dict[str, Any]) -> "FineTuning":
    """Return the settings; a value that is out of range is named by its option."""
    from pydantic import ValidationError

    names = {"num_holes": "holes", "licences": "licence", "languages": "language", "overrides": "set"}
    try:
        return schema.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        option = names.get(name, name).replace("_", "-")
        raise IncoderError(f"--{option}: {problem['msg']}, got {problem['input']!r}") from error


def _watch(stack: ExitStack) -> "Watch":
    """Show the stages of a run, one display at a time, until `stack` is closed."""
    from incoder.cli.corpus import stages_bar
    from incoder.cli.eval_progress import ProgressBars
    from incoder.cli.train_run import StopAfterStep, observer
    from incoder.finetuning.run import Watch

    shown = stack.enter_context(ExitStack())
    displays: dict[str, Any] = {}

    def display(kind: str, make: "Callable[[], AbstractContextManager[Any]]") -> Any:
        if kind not in displays:
            shown.close()
            displays.clear()
            displays[kind] = shown.enter_context(make())
        return displays[kind]

    def on_stage(stage: str, done: int, total: int) -> None:
        display("corpus", stages_bar)(stage, done, total)

    def on_holes(stage: str, done: int, total: int) -> None:
        display("holes", ProgressBars).show(stage, done, total)

    @contextmanager
    def training(recipe: "TrainingRecipe", run: Path) -> Iterator["Callable[[StepReport], None]"]:
        shown.close()
        displays.clear()
        with ExitStack() as inner:
            yield observer(inner, recipe, run, None)

    stop = StopAfterStep()
    return Watch(
        on_note=print_note,
        on_stage=on_stage,
        on_holes=on_holes,
        training=training,
        should_stop=stop.is_set,
    )


def _dry_run(settings: "FineTuning") -> None:
    """Build the corpus in a temporary folder and print its contents."""
    from incoder.cli.corpus import stages_bar
    from incoder.finetuning.preview import preview

    with stages_bar() as on_progress:
        found = preview(settings, on_progress)
    write_result(found)


def _print_end(result: "FineTuned", settings: "FineTuning", output: Path, *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from incoder.finetuning.run import PAGE

    assert result.measures is not None
    if as_json:
        content = {
            "folder": str(result.folder),
            "report": str(output / PAGE),
            "num_holes": result.num_holes,
            "steps": result.training.steps_done,
            "measures": [asdict(measure) for measure in result.measures],
        }
        write_result(json.dumps(content) + "\n")
        return
    write_result((output / PAGE).read_text(encoding="utf-8").partition("![")[0])
    adapter = f"--model {settings.model} --adapter {result.folder}"
    use = f"--model {result.folder}" if settings.full else adapter
    print_note(f"the report is {output / PAGE}; use the result with: incoder fill FILE {use}")
