"""Folders, git checkouts and the standard library: which files they hold. Reads no file's content."""

import os
import platform
import re
import subprocess
import sysconfig
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from incoder.corpus.sources.source_file import Dropped, OnDrop, SourceFile
from incoder.corpus.sources.source_settings import FolderSource, GitSource
from incoder.corpus.text.languages import extension_of
from incoder.errors import IncoderError

_NOT_THE_LIBRARY = frozenset({"site-packages", "dist-packages", "__pycache__"})


def list_folder(source: FolderSource, extensions: Collection[str], on_drop: OnDrop) -> Iterator[SourceFile]:
    """The files of a folder; what is hidden or behind a link is left out.

    Raises:
        IncoderError: the folder is missing.
    """
    root = existing_folder(source.path)
    for path in _walk(root, extensions, on_drop):
        file = SourceFile(root.name, path, "folder", root / path, _size(root / path), source.licence)
        yield replace(file, project=_entry(path)) if source.projects == "entries" else file


def list_standard_library(extensions: Collection[str], on_drop: OnDrop) -> Iterator[SourceFile]:
    """The files of the running Python's standard library."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in _walk(root, extensions, on_drop, skipped=_NOT_THE_LIBRARY):
        yield SourceFile(
            f"python/{_entry(path)}",
            path,
            "standard-library",
            root / path,
            _size(root / path),
            licence="PSF-2.0",
            version=platform.python_version(),
        )


def list_git(source: GitSource, extensions: Collection[str]) -> Iterator[SourceFile]:
    """The tracked files of a checkout.

    Raises:
        IncoderError: the folder is missing, is no checkout, or git is not installed.
    """
    root = existing_folder(source.path)
    project = _project_of_remote(root) or root.name
    for name in _git(root, "ls-files", "-z").split(b"\0"):
        path = os.fsdecode(name)
        if extension_of(path) in extensions:
            yield SourceFile(project, path, "git", root / path, _size(root / path), source.licence)


def _entry(path: str) -> str:
    """The first part of a path, without the extension where that is a file."""
    entry, slash, _ = path.partition("/")
    return entry if slash else PurePosixPath(entry).stem


def _walk(
    root: Path,
    extensions: Collection[str],
    on_drop: OnDrop,
    skipped: frozenset[str] = frozenset({"__pycache__"}),
) -> Iterator[str]:
    """Paths below `root`, with slashes; links to folders are not followed."""

    def report(error: OSError) -> None:
        on_drop(Dropped(root.name, Path(error.filename).relative_to(root).as_posix(), 0, "unreadable folder"))

    for folder, folders, names in os.walk(root, onerror=report):
        folders[:] = sorted(name for name in folders if name not in skipped and not name.startswith("."))
        for name in names:
            if extension_of(name) in extensions and not name.startswith("."):
                yield (Path(folder) / name).relative_to(root).as_posix()


def existing_folder(path: Path) -> Path:
    """The folder's absolute path.

    Raises:
        IncoderError: it is missing, or no folder.
    """
    if not path.is_dir():
        kind = "a file" if path.exists() else "missing"
        raise IncoderError(f"the recipe's source {path} must be a folder, but it is {kind}")
    return path.resolve()


def _size(location: Path) -> int:
    try:
        return location.lstat().st_size
    except OSError:
        return 0  # reading it will say what is wrong


def _project_of_remote(root: Path) -> str | None:
    """`owner/name` from the URL of the remote `origin`, in any of git's spellings."""
    try:
        url = os.fsdecode(_git(root, "config", "--get", "remote.origin.url")).strip()
    except IncoderError:
        return None
    match = re.search(r"([^/:]+/[^/:]+?)(\.git)?/*$", url)
    return match[1] if match else None


def _git(root: Path, *arguments: str) -> bytes:
    command: list[str | Path] = [
        "git",
        "-C",
        root,
        "-c",
        "core.fsmonitor=false",
        *arguments,
    ]  # runs nothing of the checkout's
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout
    except FileNotFoundError as error:
        raise IncoderError("the recipe has a git source, but the command `git` is not installed") from error
    except subprocess.CalledProcessError as error:
        message = error.stderr.decode(errors="replace").strip()
        raise IncoderError(f"{root} must be a git checkout: {message}") from error
