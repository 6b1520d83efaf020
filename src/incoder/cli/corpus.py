"""`incoder corpus`: make a corpus from a recipe, look at it, and encode it for training."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from incoder.cli.console import notes, print_note, progress_bar, result_console, write_result
from incoder.cli.corpus_fetch import app as fetch
from incoder.cli.log_lines import LoggedProgress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table
    from rich.text import Text

    from incoder.corpus.engine.stage import OnProgress
    from incoder.corpus.survey import Survey

app = typer.Typer(
    no_args_is_help=True, help="Make a corpus from a recipe, look at it, encode it for training."
)

app.add_typer(fetch, name="fetch")

_MAX_ROWS = 50  # of projects; --json has them all
_MAX_EXTENSIONS = 6  # of a project
_NUMERIC = {
    "projects",
    "documents",
    "files",
    "size",
    "tokens",
    "bytes a token",
    "clusters",
    "documents in a cluster",
    "documents in its cluster",
}
_TAG = re.compile(r"<\|/? (file|q|a|c)( .*)? \|>|</?(cell|text)>")  # of files and threads; of notebooks

Folder = Annotated[Path, typer.Argument(help="A folder made by `incoder corpus build`.", show_default=False)]


Workers = Annotated[
    int | None,
    typer.Option(min=1, help="How many tasks run at once.", show_default="as many as there are cores"),
]
Executor = Annotated[
    Literal["local", "ray", "slurm"] | None,
    typer.Option(help="The engine that runs the tasks.", show_default="the recipe's"),
]


@app.command()
def build(
    recipe: Annotated[Path, typer.Argument(help="The corpus recipe, a TOML file.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for the documents and the report.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace one setting, e.g. --set filters.max_line_length=1000. Repeatable.",
        ),
    ] = None,
    workers: Workers = None,
    executor: Executor = None,
    drops: Annotated[
        bool, typer.Option("--drops", help="Also write drops.parquet: every file left out, and why.")
    ] = False,
) -> None:
    """Collect, filter, redact, deduplicate and split source files into documents.

    Writes train.parquet, validation.parquet (each in several files if they are large), the resolved
    recipe.toml and report.json. The same recipe and sources produce the same bytes, whatever the executor and
    the number of workers. Run again after an interruption, the command continues where it stopped.

    Example: incoder corpus build recipes/tiny/corpus.toml --output runs/tiny/corpus --workers 2
    """
    import time

    from incoder.config import load_recipe
    from incoder.corpus.build import build_corpus
    from incoder.corpus.recipe import CorpusRecipe

    resolved = load_recipe(CorpusRecipe, recipe, [*(overrides or []), *_engine_overrides(workers, executor)])
    started = time.monotonic()
    with stages_bar() as on_progress:
        report = build_corpus(resolved, output, on_progress, keeps_drops=drops)
    num_bytes = sum(count.num_bytes for count in report.projects.values())
    num_dropped = sum(count.num_files for count in report.dropped.values())
    print_note(
        f"{report.num_documents:,} documents ({_size(num_bytes)}) in {output}, "
        f"{num_dropped:,} files left out, in {time.monotonic() - started:.1f} s; "
        f"why: incoder corpus report {output}"
    )
    for note in report.notes:
        print_note(note)
    if (output / "tokens").is_dir():
        print_note(f"{output / 'tokens'} is of an earlier build; encode this one again")


@app.command()
def encode(
    corpus: Folder,
    tokenizer: Annotated[
        Path,
        typer.Option(
            help="A tokenizer.json, a folder with one, or the name of an embedded model.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The folder for the shards.", show_default="CORPUS/tokens"),
    ] = None,
    workers: Workers = None,
) -> None:
    """Write the documents as token shards, which training reads.

    The same corpus and tokenizer produce the same bytes, whatever the number of workers. Run again after an
    interruption, the command continues where it stopped.

    Example: incoder corpus encode runs/tiny/corpus --tokenizer runs/tiny/tokenizer
    """
    from incoder.corpus.encoding import encode_corpus
    from incoder.corpus.engine.engine_settings import EngineSettings
    from incoder.corpus.splits import SPLITS
    from incoder.corpus.storage.token_shards import TokenShard
    from incoder.embedded_models import embedded_or_path
    from incoder.tokenizer.corpus_encoder import encoder_of
    from incoder.tokenizer.formats import read_training_tokenizer

    folder = output or corpus / "tokens"
    encoder = encoder_of(read_training_tokenizer(embedded_or_path(tokenizer)))
    with stages_bar() as on_progress:
        encode_corpus(corpus, encoder, folder, EngineSettings(workers=workers), on_progress)
    for split in SPLITS:
        shard = TokenShard.open(folder, split)
        rate = f", {shard.num_bytes / shard.num_tokens:.2f} bytes a token" if shard.num_tokens else ""
        print_note(f"{split}: {len(shard):,} documents, {shard.num_tokens:,} tokens{rate}")


@app.command()
def report(
    corpus: Folder,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write it all, with charts, as one page that needs nothing else.", show_default=False
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Show the contents of a corpus, and what was left out and why.

    If the corpus is encoded (in its folder `tokens`), tokens are counted as well.

    Example: incoder corpus report runs/tiny/corpus --html corpus.html
    """
    from json import dumps

    from incoder.corpus.page import render
    from incoder.corpus.report import read_report
    from incoder.corpus.survey import survey
    from incoder.files import write_text

    found = read_report(corpus)
    if json:
        write_result(dumps(found, ensure_ascii=False) + "\n")
        return
    seen = _surveyed(found, corpus, survey)
    if html is not None:
        write_text(html, render(found, seen))
        print_note(f"wrote {html}")
    console = _console()
    console.print(_split_table(found))
    console.print(_share_table(seen))
    console.print(_length_table(seen))
    console.print(_project_table(found))
    if found["dropped"]:
        console.print(_dropped_table(found))
    for table in _cluster_tables(found.get("clusters", {})):
        console.print(table)
    if found["dropped_projects"]:
        console.print(_dropped_projects_table(found))
    if found.get("other_files"):  # corpora of earlier versions do not count them
        console.print(_other_files_table(found["other_files"]))
    for note in found.get("notes", ()):
        console.print(_printable(note))


@app.command()
def show(
    corpus: Folder,
    num_documents: Annotated[int, typer.Option("--n", "-n", min=1, help="How many documents.")] = 5,
    num_lines: Annotated[int, typer.Option("--lines", min=1, help="The first lines of each.")] = 20,
    split: Annotated[
        Literal["train", "validation"], typer.Option(help="The split to draw documents from.")
    ] = "train",
    seed: Annotated[int, typer.Option(help="Another seed draws other documents.")] = 0,
) -> None:
    """Print documents drawn at random as training sees them, attributes highlighted.

    Example: incoder corpus show runs/tiny/corpus --n 2 --lines 10
    """
    from rich.text import Text

    from incoder.config import load_recipe
    from incoder.corpus.recipe import RECIPE, CorpusRecipe
    from incoder.corpus.storage.documents import sample_documents
    from incoder.corpus.text.attributes import render

    documents = list(sample_documents(corpus, split, num_documents, seed))
    recipe_seed = load_recipe(CorpusRecipe, corpus / RECIPE).seed
    console = _console()
    for document in documents:
        title = Text(_printable(f"{document.project}  {document.path}"), "rule.text")
        console.rule(title, align="left")
        console.print(_highlighted(render(document, recipe_seed), num_lines), soft_wrap=True)


def _console() -> "Console":
    """Return a console that shows text as it is: names may look like markup or emoji codes."""
    return result_console(markup=False, emoji=False)


def _engine_overrides(workers: int | None, executor: str | None) -> list[str]:
    chosen = {"workers": workers, "executor": executor}
    return [f"engine.{name}={value}" for name, value in chosen.items() if value is not None]


@contextmanager
def stages_bar() -> Iterator["OnProgress"]:
    """Show a bar for each stage, filled by all workers together; yield the function that updates them."""
    with _bytes_bar() as progress:
        tasks: dict[str, TaskID] = {}

        def on_progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done)

        yield on_progress


def _bytes_bar() -> "Progress":
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return LoggedProgress(*columns, console=notes)


def _highlighted(text: str, num_lines: int) -> "Text":
    """Return the first lines and, where there are more, how many are left out and the last line."""
    from rich.text import Text

    lines = text.split("\n")
    shown = Text("\n").join(_highlighted_line(line) for line in lines[:num_lines])
    if len(lines) > num_lines:
        left_out = len(lines) - num_lines - 1
        if left_out:
            shown.append(f"\n… {left_out:,} more lines …", "dim")
        shown.append("\n").append_text(_highlighted_line(lines[-1]))
    return shown


def _highlighted_line(line: str) -> "Text":
    from rich.text import Text

    line = line.removesuffix("\r")
    return Text(_printable(line), "bold magenta" if _TAG.fullmatch(line) else "")


def _printable(text: str) -> str:
    """Return the text without control characters: a file or its name must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "�" for c in text)


def _table(title: str, *columns: str) -> "Table":
    """Return an empty table; what counts something is aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        numeric = column in _NUMERIC
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    return table


def _split_table(found: dict[str, Any]) -> "Table":
    table = _table("Splits", "split", "projects", "documents", "size")
    for split, counts in found["splits"].items():
        table.add_row(
            split, f"{counts['num_projects']:,}", f"{counts['num_documents']:,}", _size(counts["num_bytes"])
        )
    return table


def _surveyed(found: dict[str, Any], corpus: Path, look: "Callable[..., Survey]") -> "Survey":
    total = sum(split["num_documents"] for split in found["splits"].values())
    with progress_bar("looking through documents", total) as count:
        return look(corpus, count)


def _share_table(seen: "Survey") -> "Table":
    from incoder.corpus.page import ordered

    table = _table("Languages", "language", "source", "documents", "size", "tokens", "bytes a token")
    for language, source, share in ordered(seen):
        tokens = "" if share.num_tokens is None else f"{share.num_tokens:,}"
        rate = f"{share.num_bytes / share.num_tokens:.2f}" if share.num_tokens else ""
        table.add_row(language, source, f"{share.num_documents:,}", _size(share.num_bytes), tokens, rate)
    return table


def _length_table(seen: "Survey") -> "Table":
    from incoder.corpus.page import below

    table = _table("Lengths", "bytes", "documents")
    for bits, number in sorted(seen.lengths.items()):
        table.add_row(below(bits), f"{number:,}")
    return table


def _cluster_tables(clusters: dict[str, Any]) -> "Iterator[Table]":
    from incoder.corpus.page import cluster_sizes, largest_clusters

    if sizes := cluster_sizes(clusters):
        table = _table("Clusters of duplicates", "reason", "documents in a cluster", "clusters")
        for reason, documents, number in sizes:
            table.add_row(reason, documents, f"{number:,}")
        yield table
        table = _table("The largest", "reason", "kept document", "documents in its cluster")
        for reason, name, num_alike in largest_clusters(clusters):
            table.add_row(reason, _printable(name), f"{num_alike:,}")
        yield table


def _project_table(found: dict[str, Any]) -> "Table":
    table = _table("Kept", "project", "documents", "size", "split", "licence")
    by_size = sorted(found["projects"].items(), key=lambda item: -item[1]["num_bytes"])
    for name, count in by_size[:_MAX_ROWS]:
        version = f" {count['version']}" if count["version"] else ""
        table.add_row(
            _printable(name + version),
            f"{count['num_documents']:,}",
            _size(count["num_bytes"]),
            count["split"],
            _printable(count["licence"] or "not stated"),
        )
    if rest := [count for _, count in by_size[_MAX_ROWS:]]:
        num_documents = sum(count["num_documents"] for count in rest)
        num_bytes = sum(count["num_bytes"] for count in rest)
        table.add_row(f"{len(rest):,} smaller ones (--json)", f"{num_documents:,}", _size(num_bytes), "", "")
    return table


def _dropped_table(found: dict[str, Any]) -> "Table":
    table = _table("Left out", "reason", "files", "size", "for example")
    by_files = sorted(found["dropped"].items(), key=lambda item: -item[1]["num_files"])
    for reason, count in by_files:
        examples = "\n".join(_printable(": ".join(example)) for example in count["examples"])
        table.add_row(_printable(reason), f"{count['num_files']:,}", _size(count["num_bytes"]), examples)
    return table


def _dropped_projects_table(found: dict[str, Any]) -> "Table":
    table = _table("Projects left out", "project", "reason", "licence")
    for dropped in found["dropped_projects"]:
        version = f" {dropped['version']}" if dropped["version"] else ""
        cells = (dropped["project"] + version, dropped["reason"], dropped["licence"] or "unknown")
        table.add_row(*map(_printable, cells))
    return table


def _other_files_table(other_files: dict[str, dict[str, int]]) -> "Table":
    table = _table("Files of other languages", "project", "extensions", "files")
    by_files = sorted(other_files.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    for project, extensions in by_files[:_MAX_ROWS]:
        commonest = sorted(extensions.items(), key=lambda item: (-item[1], item[0]))[:_MAX_EXTENSIONS]
        named = ", ".join(f"{extension} {number:,}" for extension, number in commonest)
        table.add_row(_printable(project), named, f"{sum(extensions.values()):,}")
    return table


def _size(num_bytes: int) -> str:
    from incoder.corpus.page import size

    return size(num_bytes)
