"""The other files of the project that a file belongs to, for tools that look at uses across files."""

import os
from collections.abc import Iterator
from pathlib import Path

_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg")  # of a project's root
_SETTINGS = ("pyproject.toml", "setup.cfg", "setup.py", "Procfile", "Dockerfile")
_SKIPPED = ("node_modules", "__pycache__", "site-packages", "build", "dist")
MAX_FILES = 2000
MAX_BYTES = 2_000_000  # of one file


def other_files(file: Path) -> tuple[dict[str, str], bool]:
    """The texts of the project's Python files and settings by path, and whether these are all.

    Without the file itself, hidden folders and virtual environments. Files that cannot be read are left out.
    A file whose project cannot be told has its folder as its project.
    """
    found: dict[str, str] = {}
    own = file.resolve()
    for path in _paths(_root(own)):
        if path == own:
            continue
        if len(found) == MAX_FILES:
            return found, False
        try:
            if path.stat().st_size <= MAX_BYTES:
                found[os.path.relpath(path)] = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
    return found, True


def _root(file: Path) -> Path:
    home = Path.home()
    for folder in file.parents:
        if folder == home:
            break
        if any((folder / mark).exists() for mark in _MARKS):
            return folder
    return file.parent


def _paths(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        is_kept = [
            name
            for name in sorted(folders)
            if not name.startswith(".") and name not in _SKIPPED
            if not (Path(folder) / name / "pyvenv.cfg").exists()
        ]
        folders[:] = is_kept
        for name in sorted(names):
            if name.endswith(".py") or name in _SETTINGS:
                yield Path(folder) / name
