"""Sources that are one file, or all files of a kind below a folder; and lines of bounded length."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from incoder.errors import IncoderError


def existing_files(path: Path, suffixes: re.Pattern[str]) -> list[Path]:
    """The file itself, or all files in the folder whose names match, sorted; links are not followed.

    Raises:
        IncoderError: the path does not exist, or the folder has no such file.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise IncoderError(f"the recipe's source {path} must be a file or a folder, but it is missing")
    found = sorted(_files(path, suffixes))
    if not found:
        raise IncoderError(f"the recipe's source {path} has no file of its kind ({suffixes.pattern})")
    return found


def bounded_lines(file: IO[bytes], max_bytes: int) -> Iterator[tuple[bytes | None, int]]:
    """Yield each line, including its line end, with its length; None for a line of more than `max_bytes`."""
    while line := file.readline(max_bytes + 1):
        if len(line) <= max_bytes or line.endswith(b"\n"):
            yield line, len(line)
            continue
        num_bytes = len(line)
        while not line.endswith(b"\n") and (line := file.readline(max_bytes + 1)):
            num_bytes += len(line)
        yield None, num_bytes


def _files(root: Path, suffixes: re.Pattern[str]) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            if suffixes.search(name) and path.is_file() and not path.is_symlink():
                yield path
