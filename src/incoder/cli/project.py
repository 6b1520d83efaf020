"""`incoder project`: the stored indexes of project memory, and deleting them."""

import json as json_module
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from incoder.cli import options
from incoder.cli.console import print_note, result_console, write_result
from incoder.cli.project_memory import cache_folder
from incoder.errors import IncoderError

if TYPE_CHECKING:
    from incoder.inference.memory.storage import StoredProject

app = typer.Typer(help="Show which projects are remembered, or delete their indexes.", no_args_is_help=True)

_Project = Annotated[
    Path | None,
    typer.Argument(help="The folder of a project.", metavar="DIR", show_default="all projects"),
]


@app.command()
def status(project: _Project = None, json: options.ResultAsJson = False) -> None:
    """Show the stored indexes of project memory: their sizes, and when they were last used.

    Example: incoder project status
    """
    from incoder.inference.memory.storage import stored_projects

    folder = cache_folder(os.environ)
    found = [one for one in stored_projects(folder) if project is None or one.root == str(project.resolve())]
    if json:
        write_result(_as_json(found))
        return
    if not found:
        which = "no project" if project is None else str(project)
        print_note(
            f"{which} is remembered; incoder fill --project DIR builds an index when it first needs one"
        )
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("project", overflow="fold")
    for name in ("files", "tokens", "MB"):
        table.add_column(name, justify="right")
    table.add_column("last used")
    for one in found:
        used = datetime.fromtimestamp(one.last_used).strftime("%Y-%m-%d %H:%M") if one.root else ""
        table.add_row(
            one.root or f"damaged ({one.folder.name})",
            f"{one.num_files:,}",
            f"{one.num_tokens:,}",
            f"{one.num_bytes / 1e6:.1f}",
            used,
        )
    result_console().print(table)
    total = sum(one.num_bytes for one in found)
    print_note(f"{total / 1e6:.1f} MB in {folder}")


@app.command()
def clear(
    project: _Project = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete the indexes of all projects.")] = False,
    json: options.ResultAsJson = False,
) -> None:
    """Delete the stored index of a project, or of all.

    Example: incoder project clear .
    """
    from incoder.inference.memory.storage import clear as clear_stored

    if (project is None) != everything:
        raise typer.BadParameter("name the folder of a project, or give --all, but not both")
    removed = clear_stored(cache_folder(os.environ), project)
    if json:
        write_result(_as_json(removed))
        return
    if project is not None and not removed:
        raise IncoderError(f"{project} is not remembered; `incoder project status` lists what is")
    total = sum(one.num_bytes for one in removed)
    print_note(f"deleted {len(removed)} {'index' if len(removed) == 1 else 'indexes'}, {total / 1e6:.1f} MB")


def _as_json(projects: "Sequence[StoredProject]") -> str:
    shown = [{**asdict(one), "folder": str(one.folder)} for one in projects]
    return json_module.dumps({"folder": str(cache_folder(os.environ)), "projects": shown}) + "\n"
