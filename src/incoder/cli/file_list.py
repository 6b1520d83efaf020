"""The files that a command works on, from the files and folders that a user names. It reads no content.

A named file is always included. A folder in a git checkout includes the files that git tracks and new files
that it does not ignore; any other folder includes all files that are not hidden. Links in folders are left
out, because an edit through one could change a file outside the folder.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import typer

from incoder.cli.console import print_note
from incoder.cli.source import STANDARD_INPUT
from incoder.file_listing import GitFolder, walk_files


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
    git = GitFolder(folder)
    if not git.is_in_checkout or git.is_ignored:
        return None
    found = git.files()
    return None if found is None else [*found.tracked, *found.new]


def _walked(folder: Path) -> Iterator[PurePath]:
    def note(error: OSError) -> None:
        print_note(f"{error.filename} is left out: {error.strerror}")

    return (path for path in walk_files(folder, note) if not path.name.startswith("."))
