"""Which files a recipe's sources hold, in one deterministic order. Reads no file's content."""

import fnmatch
import os
import platform
import re
import subprocess
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from incoder.corpus.languages import extension_of
from incoder.corpus.packages import list_packages
from incoder.corpus.recipe import (
    CorpusRecipe,
    FolderSource,
    GitSource,
    PackagesSource,
    Source,
    StandardLibrarySource,
)
from incoder.corpus.source_file import Dropped, OnDrop, SourceFile, within_budget
from incoder.errors import IncoderError

_NOT_THE_LIBRARY = frozenset({"site-packages", "dist-packages", "__pycache__"})


def list_files(recipe: CorpusRecipe, on_drop: OnDrop) -> list[SourceFile]:
    """The files of all sources that the recipe does not exclude, ordered by (project, path).

    Raises:
        IncoderError: a source is missing or cannot be listed.
    """
    files = list[SourceFile]()
    for source in recipe.sources:
        listed = sorted(_list(source, recipe, on_drop), key=_order)
        files += within_budget(
            _without_excluded(listed, recipe, on_drop),
            max_bytes=source.max_bytes,
            max_project_bytes=source.max_project_bytes,
            seed=recipe.seed,
            on_drop=on_drop,
        )
    return sorted(files, key=_order)


def bare_name(project: str) -> str:
    """A project's name without its owner and in lower case, so that forks and copies have the same."""
    return project.rpartition("/")[2].lower()


def _order(file: SourceFile) -> tuple[str, str]:
    return file.project, file.path


def _list(source: Source, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterable[SourceFile]:
    match source:
        case FolderSource():
            return _list_folder(source, recipe.extensions, on_drop)
        case GitSource():
            return _list_git(source, recipe.extensions)
        case PackagesSource():
            return list_packages(source, recipe.extensions, recipe.licences, on_drop)
        case StandardLibrarySource():
            return _list_standard_library(recipe.extensions, on_drop)


def _without_excluded(
    files: Iterable[SourceFile], recipe: CorpusRecipe, on_drop: OnDrop
) -> Iterator[SourceFile]:
    excluded_names = {name.lower() for name in recipe.exclude_projects}
    patterns = [re.compile(fnmatch.translate(pattern)) for pattern in recipe.exclude]
    for file in files:
        if bare_name(file.project) in excluded_names:
            on_drop(Dropped(file.project, file.path, file.num_bytes, "excluded project"))
        elif any(pattern.match("/" + file.path) for pattern in patterns):
            on_drop(Dropped(file.project, file.path, file.num_bytes, "excluded path"))
        else:
            yield file


def _list_folder(source: FolderSource, extensions: tuple[str, ...], on_drop: OnDrop) -> Iterator[SourceFile]:
    root = _existing_folder(source.path)
    for path in _walk(root, extensions, on_drop):
        file = SourceFile(root.name, path, "folder", root / path, _size(root / path), source.licence)
        yield replace(file, project=_entry(path)) if source.projects == "entries" else file


def _list_standard_library(extensions: tuple[str, ...], on_drop: OnDrop) -> Iterator[SourceFile]:
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


def _list_git(source: GitSource, extensions: tuple[str, ...]) -> Iterator[SourceFile]:
    root = _existing_folder(source.path)
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
    extensions: tuple[str, ...],
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


def _existing_folder(path: Path) -> Path:
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
