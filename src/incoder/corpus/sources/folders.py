"""Lists the files of folders, git checkouts and the standard library, without reading their content."""

import fnmatch
import os
import platform
import re
import subprocess
import sysconfig
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath

from incoder.corpus.sources.source_file import Dropped, OnDrop, OtherFile, SourceFile
from incoder.corpus.sources.source_settings import FolderSource, GitSource
from incoder.corpus.text.languages import LANGUAGES, extension_of
from incoder.errors import IncoderError
from incoder.file_listing import run_git

_NOT_THE_LIBRARY = frozenset({"site-packages", "dist-packages"})
_CACHE = "__pycache__"
# A file or folder in the root of every environment of Python and of conda.
_ENVIRONMENT_FILE, _CONDA_FOLDER = "pyvenv.cfg", "conda-meta"


def list_folder(source: FolderSource, extensions: Collection[str], on_drop: OnDrop) -> Iterator[SourceFile]:
    """Yield the files of a folder, except hidden and ignored ones, links, environments and build folders.

    Raises:
        IncoderError: the folder is missing, or it holds git checkouts and git is not installed.
    """
    root = existing_folder(source.path)
    by_entries = source.projects == "entries"

    def project_of(path: str) -> str:
        return _entry(path) if by_entries else root.name

    for path in _Walk(root, source.skipped_folders, project_of, on_drop).paths():
        project = project_of(path)
        if is_taken(path, project, extensions, on_drop):
            location = root / path
            stars = _stars_of(source, project)
            yield SourceFile(
                project, path, source.source, location, _size(location), source.licence, stars=stars
            )


def list_standard_library(extensions: Collection[str], on_drop: OnDrop) -> Iterator[SourceFile]:
    """Yield the files of the running Python's standard library."""
    root = Path(sysconfig.get_path("stdlib"))
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(_visible(folders) - _NOT_THE_LIBRARY)
        for name in sorted(_visible(names)):
            path = (Path(folder) / name).relative_to(root).as_posix()
            project = f"python/{_entry(path)}"
            if is_taken(path, project, extensions, on_drop):
                version = platform.python_version()
                yield SourceFile(
                    project, path, "standard-library", root / path, _size(root / path), "PSF-2.0", version
                )


def list_git(source: GitSource, extensions: Collection[str], on_drop: OnDrop) -> Iterator[SourceFile]:
    """Yield the tracked files of a checkout, or of each checkout in a folder.

    Raises:
        IncoderError: the folder is missing, is no checkout or holds none, or git is not installed.
    """
    folder = existing_folder(source.path)
    if source.projects == "entries":
        checkouts = list(_checkouts_in(folder, on_drop))
        if not checkouts:
            raise IncoderError(f"{folder} must hold git checkouts, and none of its entries is one")
    else:
        checkouts = [folder]
    for root in checkouts:
        if _git(root, "rev-parse", "--is-bare-repository").strip() == b"true":
            raise IncoderError(
                f"{root} is a bare repository, which has no files to read; make a checkout of it "
                f"(git clone {root} FOLDER) and name that as the source"
            )
        project = _project_of_remote(root) or root.name
        for path in _listed(root, "--cached"):
            if not is_taken(path, project, extensions, on_drop):
                continue
            location, stars = root / path, _stars_of(source, project)
            if not os.path.lexists(location):
                on_drop(Dropped(project, path, 0, "not checked out"))
                continue
            yield SourceFile(
                project, path, source.source, location, _size(location), source.licence, stars=stars
            )


def is_taken(path: str, project: str, extensions: Collection[str], on_drop: OnDrop) -> bool:
    """Whether a file has one of the extensions; files of other languages are counted by `on_drop`."""
    extension = extension_of(path)
    if extension in extensions:
        return True
    if extension in LANGUAGES:
        on_drop(OtherFile(project, extension))
    return False


def _checkouts_in(folder: Path, on_drop: OnDrop) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.name.startswith("."):
            if _is_checkout(entry):
                yield entry
            else:
                on_drop(Dropped(entry.name, entry.name, 0, "no git checkout"))


def _stars_of(source: FolderSource | GitSource, project: str) -> int | None:
    return source.stars if isinstance(source.stars, int | None) else source.stars.get(project)


def _entry(path: str) -> str:
    """The first part of a path; if that is a file, without its extension."""
    entry, slash, _ = path.partition("/")
    return entry if slash else PurePosixPath(entry).stem


def _visible(names: Collection[str]) -> set[str]:
    return {name for name in names if not name.startswith(".") and name != _CACHE}


class _Walk:
    """Walks through a folder and yields paths with slashes; links to folders are not followed."""

    def __init__(
        self, root: Path, skipped: Collection[str], project_of: Callable[[str], str], on_drop: OnDrop
    ) -> None:
        self._root = root
        self._skipped = [re.compile(fnmatch.translate(pattern), re.IGNORECASE) for pattern in skipped]
        self._project_of = project_of
        self._on_drop = on_drop

    def paths(self) -> Iterator[str]:
        if _is_inside_checkout(self._root):
            yield from self._of_checkout(self._root)
        else:
            yield from self._below(self._root)

    def _below(self, start: Path) -> Iterator[str]:
        for folder, folders, names in os.walk(start, onerror=self._report):
            at = Path(folder)
            if _is_checkout(at):
                folders.clear()
                yield from self._of_checkout(at)
                continue
            if at != self._root and _is_environment(names, folders):
                folders.clear()
                self._drop(at, "environment")
                continue
            entered = list[str]()
            for name in sorted(_visible(folders)):
                if self._is_skipped(name):
                    self._drop(at / name, "build folder")
                else:
                    entered.append(name)
            folders[:] = entered
            for name in sorted(_visible(names)):
                yield self._relative(at / name)

    def _of_checkout(self, checkout: Path) -> Iterator[str]:
        """Yield the files that git tracks or does not ignore; nothing of a checkout that git cannot read."""
        try:
            tracked = set(_listed(checkout, "--cached"))
            others = set(_listed(checkout, "--others", "--exclude-standard"))
        except _NoCheckoutError:
            self._drop(checkout, "unreadable checkout")
            return
        self._drop_ignored(checkout)
        dropped = set[Path]()
        for path in sorted(tracked | others):
            parts = PurePosixPath(path).parts
            if len(_visible(parts)) < len(set(parts)):
                continue
            location = checkout / path
            if path not in tracked and (reason := self._generated(checkout, parts[:-1])):
                folder, why = reason
                if folder not in dropped:
                    dropped.add(folder)
                    self._drop(folder, why)
            elif location.is_dir() and not location.is_symlink():  # a submodule, or a checkout in this one
                yield from self._below(location)
            elif os.path.lexists(location):
                yield self._relative(location)

    def _drop_ignored(self, checkout: Path) -> None:
        """Count what git ignores: files of the languages, and whole folders as one."""
        for path in _listed(checkout, "--others", "--ignored", "--exclude-standard", "--directory"):
            parts = PurePosixPath(path).parts
            is_hidden = len(_visible(parts)) < len(set(parts))
            if not is_hidden and (extension_of(path) in LANGUAGES or (checkout / path).is_dir()):
                self._drop(checkout / path, "ignored by git")

    def _generated(self, checkout: Path, parts: tuple[str, ...]) -> tuple[Path, str] | None:
        """The folder above an untracked file for which the file is left out, with the reason."""
        folder = checkout
        for part in parts:
            folder = folder / part
            if self._is_skipped(part):
                return folder, "build folder"
            if (folder / _ENVIRONMENT_FILE).exists() or (folder / _CONDA_FOLDER).is_dir():
                return folder, "environment"
        return None

    def _is_skipped(self, name: str) -> bool:
        return any(pattern.match(name) for pattern in self._skipped)

    def _drop(self, folder: Path, reason: str) -> None:
        path = self._relative(folder)
        self._on_drop(Dropped(self._project_of(f"{path}/"), path, 0, reason))

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _report(self, error: OSError) -> None:
        path = self._relative(Path(error.filename))
        self._on_drop(Dropped(self._root.name, path, 0, "unreadable folder"))


def _is_environment(names: Collection[str], folders: Collection[str]) -> bool:
    return _ENVIRONMENT_FILE in names or _CONDA_FOLDER in folders


def _is_checkout(folder: Path) -> bool:
    """Whether the folder is a git checkout. In a linked checkout or a submodule, `.git` is a file."""
    return (folder / ".git" / "HEAD").exists() or (folder / ".git").is_file()


def _is_inside_checkout(root: Path) -> bool:
    """Whether a folder is part of a checkout whose root is above it, and not ignored there."""
    if _is_checkout(root) or not any(map(_is_checkout, root.parents)):
        return False
    try:
        _git(root, "check-ignore", "--quiet", ".")
    except _NoCheckoutError as error:
        return error.status == 1  # it is not ignored; git reports its own errors with 128
    return False


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
        return 0  # reading it will fail with the reason


def _project_of_remote(root: Path) -> str | None:
    """`owner/name` from the URL of the remote `origin`, in any of git's spellings."""
    try:
        url = os.fsdecode(_git(root, "config", "--get", "remote.origin.url")).strip()
    except _NoCheckoutError:
        return None
    match = re.search(r"([^/:]+/[^/:]+?)(\.git)?/*$", url)
    return match[1] if match else None


class _NoCheckoutError(IncoderError):
    """git cannot read the folder; `status` is its exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def _listed(root: Path, *options: str) -> Iterator[str]:
    """Yield the paths that `git ls-files` lists, relative to `root`; checkouts in it end without a slash."""
    for name in _git(root, "ls-files", "-z", *options).split(b"\0"):
        if name:
            yield os.fsdecode(name).rstrip("/")


def _git(root: Path, *arguments: str) -> bytes:
    try:
        return run_git(root, *arguments)
    except FileNotFoundError as error:
        raise IncoderError(
            f"{root} is a git checkout, but the command `git` is not installed; install it, or name a folder "
            "without checkouts"
        ) from error
    except subprocess.CalledProcessError as error:
        message = error.stderr.decode(errors="replace").strip()
        raise _NoCheckoutError(f"{root} must be a git checkout: {message}", error.returncode) from error
