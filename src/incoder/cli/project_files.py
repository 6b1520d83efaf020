"""The other files of a file's project, for tools that look for uses across files."""

import os
from collections.abc import Iterator
from pathlib import Path

_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg")  # of a project's root
_SETTINGS = ("pyproject.toml", "setup.cfg", "setup.py", "Procfile", "Dockerfile")
_SKIPPED = ("node_modules", "__pycache__", "site-packages", "build", "dist")
MAX_FILES = 2000
MAX_BYTES = 2_000_000  # of one file


def other_files(file: Path) -> tuple[dict[str, str], bool]:
    """Return the texts of the project's Python and settings files by path, and whether these are all.

    The project is the nearest folder around the file with a `.git` or with settings of a Python project;
    without one, only the Python files beside it are read. The file itself, hidden folders, virtual
    environments, files of more than `MAX_BYTES` and unreadable files are left out.
    """
    own, found = file.resolve(), dict[str, str]()
    root = next((one for one in own.parents if any((one / mark).exists() for mark in _MARKS)), None)
    for path in _paths(root) if root is not None else sorted(own.parent.glob("*.py")):
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


def _paths(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [
            name
            for name in sorted(folders)
            if not name.startswith(".") and name not in _SKIPPED
            if not (Path(folder) / name / "pyvenv.cfg").exists()
        ]
        for name in sorted(names):
            if name.endswith(".py") or name in _SETTINGS:
                yield Path(folder) / name
