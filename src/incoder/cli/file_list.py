"""The files that a command works on, from the files and folders that a user names. It reads no content.

A named file is always included. A folder in a git checkout includes the files that git tracks and new files
that it does not ignore; any other folder includes all files that are not hidden. Links in folders are left
out, because an edit through one could change a file outside the folder.
"""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import typer

from incoder.cli.console import print_note
from incoder.cli.source import STANDARD_INPUT

_NOT_SOURCES = frozenset({"__pycache__", "node_modules", "site-packages"})
_MARK_OF_ENVIRONMENT = "pyvenv.cfg"  # at the top of a virtual environment
# A git hook or an editor may have set these for a checkout other than the folder's.
_OF_ANOTHER_CHECKOUT = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")


@dataclass(frozen=True, slots=True)
class FileList:
    """Paths in order, each file once; `is_one` if the user named a single file (or `-`), not a folder."""

    paths: tuple[str, ...]
    is_one: bool


def find_files(named: Sequence[str], is_wanted: Callable[[PurePath], bool]) -> FileList:
    """Return the files that are named, and the files in named folders for which `is_wanted` is true.

    A named file that does not exist is listed as well, so that reading it reports the error.

    Raises:
        typer.BadParameter: standard input (`-`) is named together with something else.
    """
    if len(named) > 1 and STANDARD_INPUT in named:
        raise typer.BadParameter("- (standard input) must be alone; give either - or files and folders")
    if len(named) == 1 and not _is_folder(named[0]):
        return FileList((named[0],), is_one=True)
    found: dict[Path, str] = {}
    for name in named:
        for path in _in_folder(Path(name), is_wanted) if _is_folder(name) else [name]:
            found.setdefault(Path(path).resolve(), path)
    return FileList(tuple(found.values()), is_one=False)


def _is_folder(name: str) -> bool:
    return name != STANDARD_INPUT and Path(name).is_dir()


def _in_folder(folder: Path, is_wanted: Callable[[PurePath], bool]) -> Iterator[str]:
    listed, root = _listed_by_git(folder), folder.resolve()
    for path in sorted(_walked(folder) if listed is None else listed):
        whole = folder / path
        if is_wanted(path) and whole.is_file() and whole.resolve() == root / path:
            yield str(whole)


def _listed_by_git(folder: Path) -> list[PurePath] | None:
    """Return the paths below `folder`; None without git, outside a checkout, or if git ignores the folder."""
    if _git(folder, "rev-parse", "--is-inside-work-tree") != b"true\n":
        return None
    if _git(folder, "check-ignore", "--quiet", ".") is not None:  # its status is 0 for an ignored folder
        return None
    tracked = _git(folder, "ls-files", "-z", "--cached")
    new = _git(folder, "ls-files", "-z", "--others", "--exclude-standard")
    if tracked is None or new is None:
        return None
    environments: dict[PurePath, bool] = {}
    unignored = [path for path in _paths(new) if not _is_set_aside(folder, path, environments)]
    return [*_paths(tracked), *unignored]


def _is_set_aside(folder: Path, path: PurePath, environments: dict[PurePath, bool]) -> bool:
    """Whether a walk through the folder would skip this path."""
    for parent in path.parents[:-1]:
        if parent not in environments:
            environments[parent] = (folder / parent / _MARK_OF_ENVIRONMENT).exists()
        if environments[parent] or parent.name in _NOT_SOURCES:
            return True
    return any(part.startswith(".") for part in path.parts)


def _walked(folder: Path) -> Iterator[PurePath]:
    def note(error: OSError) -> None:
        print_note(f"{error.filename} is left out: {error.strerror}")

    for parent, folders, names in os.walk(folder, onerror=note):
        folders[:] = [
            name
            for name in folders
            if name not in _NOT_SOURCES
            and not name.startswith(".")
            and not (Path(parent) / name / _MARK_OF_ENVIRONMENT).exists()
        ]
        yield from ((Path(parent) / name).relative_to(folder) for name in names if not name.startswith("."))


def _paths(listed: bytes) -> list[PurePath]:
    return [PurePath(os.fsdecode(name)) for name in listed.split(b"\0") if name]


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Return the output of git, or None if it fails or is not installed."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_CHECKOUT}
    # A checkout's settings may name a program that watches its files; it must not run.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=True, env=environment)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
