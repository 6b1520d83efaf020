"""`incoder eval`: judge a model on a benchmark; one command for each, all made alike from the catalogue."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from incoder.cli import options
from incoder.cli.console import notes, print_note, write_result
from incoder.cli.eval_build import build
from incoder.cli.eval_report import report
from incoder.errors import IncoderError
from incoder.evaluation.benchmark import INFILL_RERANK, RERANK, Benchmark
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.files import sha256_of

if TYPE_CHECKING:
    from incoder.evaluation.execution import Limits
    from incoder.evaluation.methods import Model
    from incoder.evaluation.run import Setup

app = typer.Typer(help="Judge a model on a benchmark, and report on results.", no_args_is_help=True)

_SAMPLES = "samples"
_METHODS = {
    "infill": "infill sees both sides of a hole",
    "infill-rerank": "infill-rerank takes that of several infills that is most probable with the whole",
    "infill-region": "infill-region has ten more tokens in the hole",
    "left-to-right": "left-to-right only the left one, and is cut to as many lines as are missing",
    "rerank": "rerank takes that of several drawn left to right with which the whole is most probable",
    "gold": "gold is the answer itself: the ceiling",
    "empty": "empty the empty text: the floor",
    "buggy": "buggy what stood there",
}
_HELP = (
    "{about}\n\nA run that was stopped goes on where it was when it is called again. With --samples no model "
    "is asked: completions from anywhere are judged, a JSON object a line with task_id and completion."
    "\n\nExamples: incoder eval {name} --data {file_name} --output runs/{name}"
    "\n\nincoder eval {name} --data {file_name} --samples theirs.jsonl --output runs/theirs"
)


def _command(benchmark: Benchmark) -> Callable[..., None]:
    methods = (*benchmark.methods, *benchmark.baselines)
    about_methods = "; ".join(_METHODS[method] for method in methods)

    def command(
        output: Annotated[
            Path, typer.Option("--output", "-o", help="For samples.jsonl, settings.json and results.json.")
        ],
        data: Annotated[
            Path | None,
            typer.Option(help=f"{benchmark.file_name} or its folder; from {benchmark.origin}. Not fetched."),
        ] = None,
        fetch: Annotated[
            bool, typer.Option("--fetch", help="Take the data from the hub, once, and check it.")
        ] = False,
        samples: Annotated[
            Path | None, typer.Option(help="Judge these completions; several of one task count as such.")
        ] = None,
        model: options.Model = options.DEFAULT_MODEL,
        revision: options.Revision = None,
        infilling_format: options.Format = None,
        method: Annotated[
            str, typer.Option(help=about_methods + ".", metavar=f"[{'|'.join(methods)}]")
        ] = benchmark.methods[0],
        num_samples: Annotated[
            int, typer.Option("--num-samples", "-n", min=1, help="Samples of each task, for pass@k.")
        ] = 1,
        num_candidates: Annotated[
            int, typer.Option(min=1, help="Of reranking: from how many it takes the best.")
        ] = benchmark.num_candidates,
        rank_by: Annotated[
            Literal["mean", "total"], typer.Option(help="Of rerank: log-probability by token, or of all.")
        ] = benchmark.rank_by,
        limit: Annotated[int | None, typer.Option(min=1, help="Only that many tasks, evenly spaced.")] = None,
        max_new_tokens: Annotated[
            int, typer.Option(min=1, help="The longest completion, in tokens.")
        ] = benchmark.max_new_tokens,
        temperature: Annotated[
            float | None, typer.Option(help="0 is greedy.", show_default="0; 0.8 for reranking")
        ] = None,
        top_p: options.TopP = 0.95,
        seed: options.Seed = 0,
        lead_lines: Annotated[
            int | None,
            typer.Option(
                min=0, help="Begin infills with so many lines before.", show_default="as it was trained"
            ),
        ] = None,
        edges: Annotated[
            bool, typer.Option("--edges", help="End infills by the rules of incoder fill, too.")
        ] = False,
        timeout: Annotated[float, typer.Option(help="Seconds for one program.")] = benchmark.seconds,
        num_workers: Annotated[int, typer.Option(min=1, help="Programs that run at the same time.")] = 2,
        no_sandbox: Annotated[
            bool,
            typer.Option("--no-sandbox", help="Run programs also where nothing can hold them in."),
        ] = False,
        ceiling: Annotated[bool, typer.Option(help="Judge the gold answers, too.")] = True,
    ) -> None:
        from incoder.evaluation import data as files
        from incoder.evaluation.execution import check_sandbox
        from incoder.evaluation.judging import runs_programs
        from incoder.evaluation.methods import Decoding, answer
        from incoder.evaluation.run import Judgement, collect, settings_of, write_results
        from incoder.evaluation.samples import read_samples
        from incoder.inference.edges import ALL_EDGE_RULES

        if method not in methods:
            raise typer.BadParameter(f"--method must be one of {', '.join(methods)}, got {method}")
        judgement = Judgement(_limits(timeout), num_workers, ceiling)
        # Complain about the data before a model is loaded.
        path = files.fetch(benchmark) if fetch and data is None else files.find(benchmark, data)
        tasks = files.load_tasks(path, benchmark, limit, partial(_tell_left_out, benchmark, path))
        if runs_programs(tasks):
            check_sandbox(allow_none=no_sandbox)
        settings_for = partial(settings_of, benchmark, path)
        with _ProgressBars() as bars:
            if samples is not None:
                known = [task.key for task in files.load_tasks(path, benchmark)]
                completions = read_samples(samples, [task.key for task in tasks], known)
                settings = settings_for(method=_SAMPLES) | {"samples_sha256": sha256_of(samples)}
            elif method in benchmark.baselines:
                settings = settings_for(method=method)
                completions = collect(tasks, output, settings, lambda task, _: task.baselines[method])
            else:
                is_rerank = method in (RERANK, INFILL_RERANK)
                decoding = Decoding(
                    max_new_tokens,
                    temperature=temperature if temperature is not None else 0.8 * is_rerank,
                    top_p=top_p,
                    seed=seed,
                    edge_rules=ALL_EDGE_RULES if edges else (),
                    num_lead_lines=lead_lines,
                    num_candidates=num_candidates if is_rerank else 1,
                    rank_by=rank_by,
                )
                options.sampling_params(
                    None,
                    temperature=decoding.temperature,
                    top_p=top_p,
                    max_new_tokens=max_new_tokens,
                    seed=seed,
                )
                if num_samples > 1 and decoding.temperature == 0:
                    print_note("at temperature 0 all samples of a task are alike; give --temperature")
                options.fetch(model, revision)
                identity = _identity(model, revision)
                loaded, setup = _load(model, revision, infilling_format)
                settings = settings_for(method=method, model=identity, setup=setup, decoding=decoding)
                completions = collect(
                    tasks,
                    output,
                    settings,
                    lambda task, number: answer(task, method, loaded, decoding, number),
                    num_samples=num_samples,
                    on_progress=bars.show,
                )
            results = write_results(benchmark, tasks, completions, output, settings, judgement, bars.show)
        _show(results, output)

    return command


for _benchmark in BENCHMARKS.values():
    app.command(
        _benchmark.name,
        help=_HELP.format(about=_benchmark.about, name=_benchmark.name, file_name=_benchmark.file_name),
        short_help=_benchmark.about,
    )(_command(_benchmark))


app.command()(build)
app.command()(report)


def _show(results: dict[str, Any], output: Path) -> None:
    metrics = results["metrics"]
    rates = [name for name in (results["headline"], *results["others"]) if name in metrics]
    texts = []
    for name in rates:
        interval = metrics[f"{name}_interval"]
        shown = "–" if interval is None else "–".join(f"{end:.1%}" for end in interval)
        texts.append(f"{name.replace('_', ' ')} {metrics[name]:.1%} (95 % interval {shown})")
    notes.print(
        f"{results['benchmark']}, {results['method']}: {', '.join(texts)}, {metrics['num_tasks']} tasks; "
        f"each of them in {output / 'results.json'}",
        markup=False,
    )
    write_result(json.dumps({name: value for name, value in results.items() if name != "tasks"}) + "\n")


def _identity(name: str, revision: str | None) -> dict[str, str]:
    from incoder.evaluation.run import checkpoint_fingerprint
    from incoder.inference.catalogue import find_model

    return {"name": name, "fingerprint": checkpoint_fingerprint(find_model(name, revision))}


def _load(name: str, revision: str | None, infilling_format: str | None) -> tuple["Model", "Setup"]:
    import incoder
    from incoder.evaluation.run import Setup
    from incoder.inference.cached_sequences import TransformerModel

    model = incoder.load(name, revision=revision, infilling_format=infilling_format)
    assert isinstance(model.language_model, TransformerModel)
    transformer = model.language_model.transformer
    dtype = str(transformer.dtype).removeprefix("torch.")
    return model, Setup(model.infilling_format.name, dtype, transformer.device.type)


def _limits(timeout: float) -> "Limits":
    from incoder.evaluation.execution import Limits

    try:
        return Limits(seconds=timeout)
    except IncoderError as error:
        raise typer.BadParameter(f"--timeout: {error}") from error


def _tell_left_out(benchmark: Benchmark, path: Path, num_rows: int) -> None:
    print_note(f"{num_rows:,} rows of {path} are not part of {benchmark.name} and were left out")


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
