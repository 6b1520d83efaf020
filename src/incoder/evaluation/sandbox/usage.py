"""Resources that no kernel limit counts: the size of a program's folder, and its time in run queues."""

import contextlib
import os
import stat
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

_BLOCK_BYTES = 512  # the unit of st_blocks, whatever the blocks of the file system are
_MAX_FILES = 4096  # each takes an inode, however small it is
_NANOSECONDS = 1e9


def folder_exceeds(folder: str, pid: int, max_bytes: int) -> bool:
    """Whether the folder's files, and deleted ones that the program has open, use more than `max_bytes`.

    Files count by their blocks on disk, so sparse parts are free. More than 4,096 files are too many, and a
    folder that cannot be listed counts as too large.
    """
    num_files = num_bytes = 0
    try:
        for entry in chain(_deleted(pid), _below(folder)):
            num_files += 1
            num_bytes += entry.st_blocks * _BLOCK_BYTES
            if num_bytes > max_bytes or num_files > _MAX_FILES:
                return True
    except OSError:
        return True
    return False


def seconds_on_run_queues(pid: int) -> float | None:
    """The time that the threads of a process waited for a processor; None if the kernel does not count it."""
    waited = None
    with contextlib.suppress(OSError, ValueError, IndexError):
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            waited = (waited or 0.0) + int(path.read_text().split()[1]) / _NANOSECONDS
    return waited


def _below(folder: str) -> Iterator[os.stat_result]:
    """Yield the status of everything in the folder.

    Raises:
        OSError: a folder in it cannot be listed, because of its permissions or because its path is too long.
    """
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        yield entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            continue  # the program changed it in the meantime


def _deleted(pid: int) -> Iterator[os.stat_result]:
    """Yield the status of the deleted files that a process has open."""
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found = link.stat()
                if stat.S_ISREG(found.st_mode) and not found.st_nlink:
                    yield found
