"""Project memory on the command line: the cache folder of its indexes, and opening a project with notes."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incoder.cli.console import print_note, progress

if TYPE_CHECKING:
    from incoder.inference.infill_model import InfillModel


def cache_folder(environment: Mapping[str, str]) -> Path:
    """The folder with the indexes of all projects, by the rules for caches (XDG).

    >>> cache_folder({"XDG_CACHE_HOME": "/caches"}).as_posix()
    '/caches/incoder/projects'
    """
    home = Path(environment.get("HOME") or Path.home())
    cache = Path(environment.get("XDG_CACHE_HOME") or "")
    return (cache if cache.is_absolute() else home / ".cache") / "incoder" / "projects"


def open_project(model: "InfillModel", project: Path, hidden_files: Sequence[str]) -> None:
    """Open the memory of a project for the requests of this command, and bring its index up to date.

    Raises:
        IncoderError: the project cannot be listed.
    """
    memory = model.open_project(
        project, cache_folder=cache_folder(os.environ), hidden_files=hidden_files, on_note=print_note
    )
    with progress(f"looking at the files of {project} …") as update:
        memory.refresh(lambda done, total: update(f"read {done:,} of {total:,} bytes of {project} …"))
