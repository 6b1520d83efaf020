"""The display of `incoder corpus fetch`: progress, the final notes, and the state in tables."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incoder.cli.console import notes, print_note
from incoder.cli.log_lines import LogLines

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from incoder.corpus.acquisition.repository import Repository
    from incoder.corpus.acquisition.state import Staged, State

_NOTE_WAITS_FROM = 30  # seconds: shorter waits are not noted if there is no terminal


def note_rejected(state: "State") -> None:
    rejected = state.rejected()
    for reason, (count, places) in rejected.items():
        print_note(
            f"left out {count:,} rows: {reason} ({', '.join(places)}{', …' if count > len(places) else ''})"
        )


def note_end(state: "State", manifest: Path, files: Path) -> None:
    from rich.filesize import decimal

    outcomes = state.outcomes()
    num_files, num_bytes = state.totals()
    fetched = sum(outcomes.get(outcome, 0) for outcome in ("staged", "packed", "empty"))
    print_note(f"{sum(outcomes.values()):,} repositories in {manifest}")
    if fetched:
        print_note(f"{fetched:,} of them fetched: {num_files:,} files, {decimal(num_bytes)}, in {files}")
    if failed := outcomes.get("failed"):
        commonest = ", ".join(
            f"{count:,} {reason}" for reason, (count, _) in list(state.failures().items())[:3]
        )
        print_note(
            f"{failed:,} failed ({commonest}); all reasons: incoder corpus fetch status {manifest.parent}; "
            "again with --retry-failed"
        )


@contextmanager
def listing_progress() -> Iterator[tuple[Callable[[int, int], None], Callable[[float, str], None]]]:
    """Show the progress of a listing; yield the functions to call after each step and before each wait."""
    with notes.status("listing") if notes.is_terminal else _nothing() as shown:

        def on_step(num_known: int, num_steps: int) -> None:
            if shown is not None:
                shown.update(f"listing: {num_known:,} repositories, {num_steps:,} steps noted")

        def on_wait(seconds: float, why: str) -> None:
            if shown is not None:
                shown.update(f"listing: waiting {seconds:.0f} s for {why}")
            elif seconds >= _NOTE_WAITS_FROM:
                print_note(f"waiting {seconds:.0f} s for {why}")

        yield on_step, on_wait


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


@contextmanager
def fetching_progress(state: "State") -> "Iterator[Callable[[Repository, Staged | None], None]]":
    """Show the progress of fetching; yield the function to call after each repository."""
    from rich.filesize import decimal

    num_fetched = num_failed = num_files = num_bytes = 0
    total, lines = state.outcomes().get("listed", 0), LogLines(print_note)
    with _repository_bar() as progress:
        task = progress.add_task("fetching", total=total, so_far="")

        def on_done(_repository: "Repository", staged: "Staged | None") -> None:
            nonlocal num_fetched, num_failed, num_files, num_bytes
            if staged is None:
                num_failed += 1
            else:
                num_fetched += 1
                num_files += staged.num_files
                num_bytes += staged.num_bytes
            so_far = f"{num_files:,} files  {decimal(num_bytes)}  {num_failed:,} failed"
            num_done = num_fetched + num_failed
            progress.update(task, completed=num_done, so_far=so_far)
            if not notes.is_terminal:
                lines.tell(f"repository {num_done:,}/{total:,}  {so_far}")

        yield on_done


def _repository_bar() -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[so_far]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=notes, disable=not notes.is_terminal)


def described(state: "State") -> dict[str, Any]:
    """Return the object that `status --json` prints."""
    outcomes = state.outcomes()
    num_files, num_bytes = state.totals()
    return {
        "num_listed": sum(outcomes.values()),
        "num_waiting": outcomes.get("listed", 0),
        "num_fetched": sum(outcomes.get(outcome, 0) for outcome in ("staged", "packed", "empty")),
        "num_failed": outcomes.get("failed", 0),
        "num_listing_steps_left": state.num_steps(),
        "num_files": num_files,
        "num_bytes": num_bytes,
        "failures": _with_examples(state.failures()),
        "rejected_rows": _with_examples(state.rejected()),
        "left_out": {
            reason: {"num_files": files, "num_bytes": size}
            for reason, (files, size) in state.left_out().items()
        },
    }


def _with_examples(grouped: dict[str, tuple[int, list[str]]]) -> dict[str, Any]:
    return {reason: {"num": count, "examples": examples} for reason, (count, examples) in grouped.items()}


def tables(found: dict[str, Any]) -> "Iterator[Table]":
    """Yield the object of `described` as tables, without empty ones."""
    yield _outcome_table(found)
    if found["failures"]:
        yield _reason_table("Failed", "repositories", found["failures"])
    if found["rejected_rows"]:
        yield _reason_table("Rows that are no repositories", "rows", found["rejected_rows"])
    if found["left_out"]:
        yield _left_out_table(found["left_out"])


def _outcome_table(found: dict[str, Any]) -> "Table":
    from rich.filesize import decimal

    table = _table("Repositories", "", "number")
    table.add_row("listed", f"{found['num_listed']:,}")
    table.add_row("fetched", f"{found['num_fetched']:,}")
    table.add_row("failed", f"{found['num_failed']:,}")
    table.add_row("waiting", f"{found['num_waiting']:,}")
    table.add_row("files", f"{found['num_files']:,}")
    table.add_row("size", decimal(found["num_bytes"]))
    if found["num_listing_steps_left"]:
        table.add_row("steps of the listing noted", f"{found['num_listing_steps_left']:,}")
    return table


def _reason_table(title: str, unit: str, reasons: dict[str, Any]) -> "Table":
    table = _table(title, "reason", unit, "for example")
    for reason, said in reasons.items():
        table.add_row(reason, f"{said['num']:,}", "\n".join(said["examples"]))
    return table


def _left_out_table(left_out: dict[str, Any]) -> "Table":
    from rich.filesize import decimal

    table = _table("Files left out", "reason", "files", "size")
    for reason, counts in left_out.items():
        table.add_row(reason, f"{counts['num_files']:,}", decimal(counts["num_bytes"]))
    return table


def _table(title: str, *columns: str) -> "Table":
    """Return an empty table; its second and any size column count something."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(
            column, justify="right" if index == 1 or column == "size" else "left", overflow="fold"
        )
    return table
