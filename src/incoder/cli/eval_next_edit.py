"""`incoder eval next-edit`: judge next edits on the commits of git repositories."""

import json as json_module
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from incoder.cli import options
from incoder.cli.console import print_note, progress_bar, write_result
from incoder.editing.next_edits.proposals import DEFAULT_MIN_GAIN, DEFAULT_MIN_SHIFT


def next_edit(
    repositories: Annotated[
        list[Path],
        typer.Option("--from", help="A git repository. Repeatable.", metavar="FOLDER", show_default=False),
    ],
    method: Annotated[
        Literal["infill", "rename"],
        typer.Option(help="infill asks the model; rename replaces a replaced name everywhere, without one."),
    ] = "infill",
    limit: Annotated[
        int, typer.Option(min=1, help="The maximum number of changed files of each repository, newest first.")
    ] = 200,
    extension: Annotated[str, typer.Option("--ext", help="Only files with this extension.")] = ".py",
    min_gain: Annotated[float, typer.Option(help="As of incoder next-edit.")] = DEFAULT_MIN_GAIN,
    min_shift: Annotated[float, typer.Option(help="As of incoder next-edit.")] = DEFAULT_MIN_SHIFT,
    model: options.Model = options.DEFAULT_MODEL,
    revision: options.Revision = None,
    adapter: options.Adapter = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    json: options.ResultAsJson = False,
) -> None:
    """Judge next edits on the commits of git repositories.

    Of a commit that changes several places of a file, the first change is made and the others are asked for.
    Commits that change one place of a file show how often an edit is proposed where the author made none.
    Intervals are of 95 %, by resampling commits.

    Example: incoder eval next-edit --from ../click --limit 200
    """
    import time

    from incoder.evaluation.next_edits import Outcome, Propose, renames_alone, summary, tasks_of

    extension = f".{extension.lstrip('.')}"
    tasks = [task for one in repositories for task in islice(tasks_of(one, extension), limit)]
    if not tasks:
        print_note(f"no commit changes a {extension} file in a way that can be asked for")
        raise typer.Exit(1)
    propose: Propose = renames_alone
    if method == "infill":
        import incoder
        from incoder.editing.next_edits.proposals import next_edits

        options.fetch(model, revision)
        loaded = incoder.load(model, revision=revision, device=device, dtype=dtype, adapter=adapter)
        propose = partial(next_edits, loaded, min_gain=min_gain, min_shift=min_shift)
    outcomes = []
    with progress_bar("asking for next edits", len(tasks)) as count:
        for task in tasks:
            started = time.perf_counter()
            proposed = tuple(propose(task.before, task.after, path=task.path))
            outcomes.append(Outcome(task, proposed, time.perf_counter() - started))
            count()
    asked = (
        {"model": model, "adapter": str(adapter) if adapter else None}
        if method == "infill"
        else {"model": None}
    )
    found = {"method": method, **asked, **summary(outcomes)}
    write_result(json_module.dumps(found) + "\n" if json else _as_text(found))


def _as_text(found: dict[str, Any]) -> str:
    lines = [f"{found['tasks']} changes with others to follow, {found['single_change_tasks']} without"]
    for name, value in found.items():
        if isinstance(value, dict) and value["rate"] is not None:
            interval = value["interval"]
            between = f" ({100 * interval[0]:.1f}–{100 * interval[1]:.1f})" if interval else ""
            lines.append(f"{name.replace('_', ' '):14}{100 * value['rate']:5.1f} %{between}")
    lines.append(f"latency       p50 {found['p50_ms']:.0f} ms, p95 {found['p95_ms']:.0f} ms")
    return "\n".join(lines) + "\n"
