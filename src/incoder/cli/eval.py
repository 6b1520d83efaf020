"""`incoder eval`: judge a model on a benchmark."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from incoder.cli import options
from incoder.cli.console import notes, write_result

if TYPE_CHECKING:
    from incoder.evaluation.infilling_run import Infiller

app = typer.Typer(help="Judge a model on a benchmark.", no_args_is_help=True)

_ABOUT = {
    "humaneval-single-line": "Fill one line cut out of a HumanEval solution (1,033 tasks); its tests decide.",
    "humaneval-multi-line": "Fill lines cut out of a HumanEval solution (5,815 tasks); its tests decide.",
}
_MORE = (
    "\n\nA run that was stopped goes on where it was when it is called again. What the model writes is "
    "executed: with limits on time, memory and files, but with your rights."
    "\n\nExample: incoder eval {name} --data human-eval-infilling/data --output runs/{name}"
)


def _infilling_command(benchmark_name: str) -> Callable[..., None]:
    def command(
        data: Annotated[
            Path,
            typer.Option(
                help="OpenAI's .jsonl.gz (github.com/openai/human-eval-infilling) or its folder. Not fetched."
            ),
        ],
        output: Annotated[
            Path, typer.Option("--output", "-o", help="For samples.jsonl, settings.json and results.json.")
        ],
        model: options.Model = "mini",
        revision: options.Revision = None,
        infilling_format: options.Format = None,
        method: Annotated[
            Literal["infill", "left-to-right", "gold", "empty"],
            typer.Option(
                help="infill sees both sides of the hole; left-to-right only the left one, and is cut to as "
                "many lines as are missing; gold and empty are the harness's ceiling and floor."
            ),
        ] = "infill",
        limit: Annotated[int | None, typer.Option(help="Only that many tasks, evenly spaced.")] = None,
        max_new_tokens: Annotated[
            int | None,
            typer.Option(help="Longest completion, in tokens; by default 64, for several lines 256."),
        ] = None,
        temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
        seed: Annotated[int, typer.Option(help="Where sampling starts; greedy needs none.")] = 0,
        timeout: Annotated[float, typer.Option(help="Seconds for one program.")] = 3.0,
        num_workers: Annotated[int, typer.Option(help="Programs that run at the same time.")] = 2,
    ) -> None:
        import json

        from incoder.evaluation.execution import Limits
        from incoder.evaluation.humaneval_infilling import BENCHMARKS, load_tasks
        from incoder.evaluation.infilling_run import METHODS_OF_A_MODEL, Decoding, run_benchmark

        benchmark = BENCHMARKS[benchmark_name]
        load_tasks(data, benchmark, limit)  # complain about the data before a model is loaded
        if method in METHODS_OF_A_MODEL:
            options.fetch(model, revision)
        if max_new_tokens is None:
            max_new_tokens = benchmark.max_new_tokens
        with _ProgressBars() as bars:
            results = run_benchmark(
                benchmark,
                data,
                output,
                method=method,
                model=_load(model, revision, infilling_format) if method in METHODS_OF_A_MODEL else None,
                model_settings=_identity(model, revision) if method in METHODS_OF_A_MODEL else {},
                decoding=Decoding(max_new_tokens, temperature=temperature, seed=seed),
                limit=limit,
                limits=Limits(seconds=timeout),
                num_workers=num_workers,
                on_progress=bars.show,
            )
        metrics = results["metrics"]
        low, high = metrics["pass_rate_interval"]
        notes.print(
            f"{benchmark_name}, {method}: pass rate {metrics['pass_rate']:.1%} "
            f"(95 % interval {low:.1%}–{high:.1%}), exact match {metrics['exact_match']:.1%}, "
            f"{metrics['num_tasks']} tasks; each of them in {output / 'results.json'}",
            markup=False,
        )
        write_result(json.dumps({name: value for name, value in results.items() if name != "tasks"}) + "\n")

    return command


for _name, _about in _ABOUT.items():
    app.command(_name, help=_about + _MORE.format(name=_name))(_infilling_command(_name))


def _identity(name: str, revision: str | None) -> dict[str, str]:
    from incoder.evaluation.infilling_run import checkpoint_fingerprint
    from incoder.inference.catalogue import find_model

    return {"name": name, "fingerprint": checkpoint_fingerprint(find_model(name, revision))}


def _load(name: str, revision: str | None, infilling_format: str | None) -> "Infiller":
    import incoder

    return incoder.load(name, revision=revision, infilling_format=infilling_format)


class _ProgressBars:
    """One bar for completing the tasks and one for running the programs, on a terminal only."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=notes,
            disable=not notes.is_terminal,
        )
        self._bars: dict[str, Any] = {}

    def __enter__(self) -> "_ProgressBars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, stage: str, done: int, total: int) -> None:
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._bars[stage], completed=done)
