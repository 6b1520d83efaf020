"""The files below a folder: the ones that git lists in a checkout, else the ones that a walk finds.

Paths are relative to the folder. A walk skips hidden folders, virtual environments and folders of installed
packages. Reads no content and knows no command line.
"""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

_NOT_SOURCES = frozenset({"__pycache__", "node_modules", "site-packages"})
_MARK_OF_ENVIRONMENT = "pyvenv.cfg"  # at the top of a virtual environment
# A git hook or an editor may have set these for a checkout other than the folder's.
_OF_ANOTHER_CHECKOUT = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")


@dataclass(frozen=True, slots=True)
class GitFiles:
    """The files that git tracks, and new ones that it does not ignore and a walk would find."""

    tracked: tuple[PurePath, ...]
    new: tuple[PurePath, ...]


@dataclass(frozen=True, slots=True)
class GitFolder:
    """A folder as git sees it. One call of git may take `timeout_s` seconds."""

    folder: Path
    timeout_s: float | None = None

    @property
    def is_in_checkout(self) -> bool:
        """Whether git is installed and the folder is in a checkout that it can read."""
        return self.run("rev-parse", "--is-inside-work-tree") == b"true\n"

    @property
    def is_ignored(self) -> bool:
        """Whether git ignores the folder itself, and with it everything in it."""
        return self.run("check-ignore", "--quiet", ".") is not None  # the status is 0 for an ignored folder

    def files(self) -> GitFiles | None:
        """The files below the folder; None if git fails."""
        tracked = self.listed("--cached")
        new = self.listed("--others", "--exclude-standard")
        if tracked is None or new is None:
            return None
        return GitFiles(tracked, tuple(_as_walked(self.folder, new)))

    def listed(self, *arguments: str, options: Sequence[str] = ()) -> tuple[PurePath, ...] | None:
        """The paths that `git ls-files` lists with these arguments; None if it fails.

        The `options` are git's own, before the command.
        """
        listed = self.run(*options, "ls-files", "-z", *arguments)
        if listed is None:
            return None
        return tuple(PurePath(os.fsdecode(name)) for name in listed.split(b"\0") if name)

    def run(self, *arguments: str) -> bytes | None:
        """The output of git in this folder; None if it fails, takes too long, or is not installed."""
        try:
            return run_git(self.folder, *arguments, timeout_s=self.timeout_s)
        except (OSError, subprocess.SubprocessError):
            return None


def run_git(folder: Path, *arguments: str, timeout_s: float | None = None) -> bytes:
    """Run git in a folder, whatever checkout the environment names, and return its output.

    Raises:
        OSError: git cannot be started; it is a FileNotFoundError if git is not installed.
        subprocess.SubprocessError: git fails (CalledProcessError) or takes too long.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_CHECKOUT}
    # A checkout's settings may name a program that watches its files; it must not run.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments]
    return subprocess.run(command, capture_output=True, check=True, env=environment, timeout=timeout_s).stdout


def walk_files(folder: Path, on_error: Callable[[OSError], None] = lambda _: None) -> Iterator[PurePath]:
    """The files that a walk finds, hidden ones included; `on_error` gets what cannot be listed."""
    for parent, folders, names in os.walk(folder, onerror=on_error):
        folders[:] = [
            name
            for name in folders
            if name not in _NOT_SOURCES
            and not name.startswith(".")
            and not (Path(parent) / name / _MARK_OF_ENVIRONMENT).exists()
        ]
        yield from ((Path(parent) / name).relative_to(folder) for name in names)


def _as_walked(folder: Path, paths: Iterable[PurePath]) -> Iterator[PurePath]:
    """The paths that are not hidden and that a walk through the folder would find."""
    environments: dict[PurePath, bool] = {}
    for path in paths:
        if not any(part.startswith(".") for part in path.parts):
            parents = path.parents[:-1]
            for parent in parents:
                if parent not in environments:
                    environments[parent] = (folder / parent / _MARK_OF_ENVIRONMENT).exists()
            if not any(environments[parent] or parent.name in _NOT_SOURCES for parent in parents):
                yield path
