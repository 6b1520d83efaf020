"""Project memory on the command line: the cache folder of its indexes, and opening a project with notes."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from incoder.cli.console import print_note, progress
from incoder.errors import IncoderError
from incoder.request import InfillRequest

if TYPE_CHECKING:
    from incoder.inference.prompting_model import PromptingModel


def cache_folder(environment: Mapping[str, str]) -> Path:
    """The folder with the indexes of all projects, by the rules for caches (XDG).

    >>> cache_folder({"XDG_CACHE_HOME": "/caches"}).as_posix()
    '/caches/incoder/projects'
    """
    home = Path(environment.get("HOME") or Path.home())
    cache = Path(environment.get("XDG_CACHE_HOME") or "")
    return (cache if cache.is_absolute() else home / ".cache") / "incoder" / "projects"


def project_of(request: InfillRequest) -> Path | None:
    """Return the folder of a request's project, None if it has none.

    Raises:
        typer.BadParameter: it is not a folder.

    >>> project_of(InfillRequest()) is None
    True
    """
    project = None if request.project is None else Path(request.project)
    if project is not None and not project.is_dir():
        raise typer.BadParameter(f"--project: {project} is not a folder")
    return project


def open_project(model: "PromptingModel", project: Path, hidden_files: Sequence[str]) -> None:
    """Open the memory of a project for the requests of this command, and bring its index up to date.

    Raises:
        IncoderError: the project cannot be listed, or the model is on another server.
    """
    from incoder.inference.infill_model import InfillModel

    if not isinstance(model, InfillModel):
        raise IncoderError("--project needs a model on this machine; leave it out (--no-project)")
    memory = model.open_project(
        project, cache_folder=cache_folder(os.environ), hidden_files=hidden_files, on_note=print_note
    )
    with progress(f"looking at the files of {project} …") as update:
        memory.refresh(lambda done, total: update(f"read {done:,} of {total:,} bytes of {project} …"))
