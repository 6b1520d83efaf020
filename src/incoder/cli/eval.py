"""`incoder eval`: judge a model on a benchmark; one command for each benchmark, made from the catalogue."""

import json as json_module
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incoder.cli import options
from incoder.cli.console import print_note, write_result
from incoder.cli.eval_build import build
from incoder.cli.eval_decoding import OPTIONS, RULES, as_fill, decoding_of, shown_defaults
from incoder.cli.eval_loss import loss
from incoder.cli.eval_next_edit import next_edit
from incoder.cli.eval_progress import ProgressBars
from incoder.cli.eval_report import report
from incoder.cli.eval_results import (
    fit_for_left_to_right,
    results_as_text,
    tell_decoding,
    tell_left_out,
    tell_not_executed,
    tell_other_files,
)
from incoder.cli.request_options import note_renamed, with_settings
from incoder.cli.upstream import is_upstream, load_upstream_model
from incoder.errors import IncoderError
from incoder.evaluation.benchmark import LEFT_TO_RIGHT, RERANK, Benchmark
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.files import sha256_of
from incoder.request_settings import RequestSettings

if TYPE_CHECKING:
    from incoder.evaluation.execution import Limits
    from incoder.evaluation.run import Environment
    from incoder.inference.prompting_model import PromptingModel

app = typer.Typer(help="Judge a model on a benchmark, and report on results.", no_args_is_help=True)

_SAMPLES = "samples"
_METHODS = {
    "infill": "infill sees both sides of a hole",
    "infill-rerank": "infill-rerank takes the best of several infills by the full text's probability",
    "infill-region": "infill-region has ten more tokens in the hole",
    "left-to-right": "left-to-right sees only the left side, and is cut to the number of missing lines",
    "rerank": "rerank takes the best of several left-to-right samples by the full text's probability",
    "gold": "gold is the answer itself: the ceiling",
    "empty": "empty is the empty text: the floor",
    "buggy": "buggy is the original, wrong code",
}
_HELP = (
    "{about}\n\nCalled again after an interruption, a run continues where it stopped. With --samples, no "
    "model is used: the command judges the completions in a file, one JSON object with task_id and "
    "completion per line."
    "\n\nExamples: incoder eval {name} --data {file_name} --output runs/{name}"
    "\n\nincoder eval {name} --data {file_name} --samples theirs.jsonl --output runs/theirs"
)


def _command(benchmark: Benchmark) -> Callable[..., None]:
    methods = (*benchmark.methods, *benchmark.baselines)
    about_methods = "; ".join(_METHODS[method] for method in methods)

    @with_settings(OPTIONS, shown_defaults(benchmark), {"num_candidates": ("--num-candidates",)})
    def command(
        settings: RequestSettings,
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
            Path | None, typer.Option(help="Judge these completions, one or more for each task.")
        ] = None,
        model: options.Model = options.DEFAULT_MODEL,
        revision: options.Revision = None,
        infilling_format: options.Format = None,
        adapter: options.Adapter = None,
        method: Annotated[
            str, typer.Option(help=about_methods + ".", metavar=f"[{'|'.join(methods)}]")
        ] = benchmark.methods[0],
        num_samples: Annotated[
            int, typer.Option("--num-samples", "-n", min=1, help="Samples of each task, for pass@k.")
        ] = 1,
        language: Annotated[
            str | None,
            typer.Option(help="Only tasks in this language, such as python or c++.", show_default="all"),
        ] = None,
        limit: Annotated[
            int | None, typer.Option(min=1, help="Only this number of tasks, evenly spaced.")
        ] = None,
        defaults: Annotated[
            bool, typer.Option("--defaults", help="Infill as incoder fill does without options.")
        ] = False,
        stopping_rule: Annotated[
            list[str] | None,
            typer.Option(
                help="End infills by this stopping rule. Repeatable.", metavar=RULES, show_default="none"
            ),
        ] = None,
        edge_rule: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
        timeout: Annotated[float, typer.Option(help="Seconds for one program.")] = benchmark.seconds,
        num_workers: Annotated[int, typer.Option(min=1, help="Programs that run at the same time.")] = 2,
        no_sandbox: Annotated[
            bool,
            typer.Option("--no-sandbox", help="Run programs even if no sandbox is available."),
        ] = False,
        ceiling: Annotated[bool, typer.Option(help="Judge the gold answers, too.")] = True,
        json: options.ResultAsJson = False,
    ) -> None:
        from incoder.evaluation import benchmark_files
        from incoder.evaluation.execution import check_sandbox
        from incoder.evaluation.judging import runs_programs
        from incoder.evaluation.methods import answer
        from incoder.evaluation.run import ExecutionSettings, collect, settings_of, write_results
        from incoder.evaluation.samples import read_samples

        if method not in methods:
            raise typer.BadParameter(f"--method must be one of {', '.join(methods)}, got {method}")
        execution = ExecutionSettings(_limits(timeout), num_workers, ceiling)
        decoding = None
        if samples is None and method not in benchmark.baselines:
            rules = (*(stopping_rule or ()), *(edge_rule or ()))
            if edge_rule:
                note_renamed("--edge-rule", "--stopping-rule")
            decoding = decoding_of(settings, rules, benchmark, method, defaults=defaults)
        # Complain about the data before a model is loaded.
        path = (
            benchmark_files.fetch(benchmark)
            if fetch and data is None
            else benchmark_files.find(benchmark, data, on_others=tell_other_files)
        )
        tasks = benchmark_files.load_tasks(
            path, benchmark, limit, partial(tell_left_out, benchmark, path), language
        )
        if samples is None and method in (LEFT_TO_RIGHT, RERANK):
            tasks = fit_for_left_to_right(tasks, method)
        tell_not_executed(benchmark, tasks)
        if runs_programs(tasks):
            check_sandbox(allow_none=no_sandbox)
        settings_for = partial(settings_of, benchmark, path)
        with ProgressBars() as bars:
            if samples is not None:
                known = [task.key for task in benchmark_files.load_tasks(path, benchmark)]
                completions = read_samples(samples, [task.key for task in tasks], known)
                run_settings = settings_for(method=_SAMPLES) | {"samples_sha256": sha256_of(samples)}
            elif decoding is None:
                run_settings = settings_for(method=method)
                completions = collect(tasks, output, run_settings, lambda task, _: task.baselines[method])
            else:
                loaded, environment = _load(model, revision, infilling_format, adapter)
                identity = _identity(model, revision, adapter, loaded)
                chosen = as_fill(settings.get("seed"), loaded) if defaults else decoding
                if num_samples > 1 and (chosen.branches or chosen.sampling.temperature == 0):
                    remedy = "a --seed" if defaults else "a --temperature"
                    print_note(f"nothing is drawn, so all samples of a task are alike; give {remedy}")
                run_settings = settings_for(
                    method=method, model=identity, environment=environment, decoding=chosen
                )
                completions = collect(
                    tasks,
                    output,
                    run_settings,
                    lambda task, number: answer(task, method, loaded, chosen, number),
                    num_samples=num_samples,
                    on_progress=bars.show,
                )
            results = write_results(benchmark, tasks, completions, output, run_settings, execution, bars.show)
        if decoding is not None:
            tell_decoding(chosen, loaded)
        if json:
            summary = {name: value for name, value in results.items() if name != "tasks"}
            write_result(json_module.dumps(summary) + "\n")
        else:
            write_result(results_as_text(results, output))

    return command


for _benchmark in BENCHMARKS.values():
    app.command(
        _benchmark.name,
        help=_HELP.format(about=_benchmark.about, name=_benchmark.name, file_name=_benchmark.file_name),
        short_help=_benchmark.about,
    )(_command(_benchmark))


app.command()(build)
app.command()(report)
app.command()(loss)
app.command()(next_edit)


def _identity(
    name: str, revision: str | None, adapter: Path | None, loaded: "PromptingModel"
) -> dict[str, str]:
    """Return the name and the fingerprint of a model; nobody here sees the weights of one on a server."""
    if is_upstream(name):
        return {"name": str(getattr(loaded, "name", name)), "fingerprint": "unknown"}
    from incoder.evaluation.run import checkpoint_fingerprint
    from incoder.inference.models.catalogue import find_model
    from incoder.model.adapters import ADAPTER_WEIGHTS

    identity = {"name": name, "fingerprint": checkpoint_fingerprint(find_model(name, revision))}
    if adapter is not None:
        identity |= {"adapter": adapter.name, "adapter_sha256": sha256_of(adapter / ADAPTER_WEIGHTS)}
    return identity


def _load(
    name: str, revision: str | None, infilling_format: str | None, adapter: Path | None
) -> tuple["PromptingModel", "Environment"]:
    """Return the model, and where it runs."""
    import incoder
    from incoder.evaluation.run import Environment

    if is_upstream(name):
        upstream = load_upstream_model(name, infilling_format)
        return upstream, Environment(upstream.infilling_format.name, "unknown", "upstream")

    from incoder.inference.engine.cached_sequences import TransformerModel

    options.fetch(name, revision)
    model = incoder.load(name, revision=revision, infilling_format=infilling_format, adapter=adapter)
    assert isinstance(model.language_model, TransformerModel)
    transformer = model.language_model.transformer
    dtype = str(transformer.dtype).removeprefix("torch.")
    return model, Environment(model.infilling_format.name, dtype, transformer.device.type)


def _limits(timeout: float) -> "Limits":
    from incoder.evaluation.execution import Limits

    try:
        return Limits(seconds=timeout)
    except IncoderError as error:
        raise typer.BadParameter(f"--timeout: {error}") from error
