"""A process with limits on time, disk space and memory, which ends when this process ends, however that ends.

A command and its bounds go in; its output comes out through a pipe. This file knows nothing about git.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MESSAGES = "messages"  # the file in its folder with its standard error
NOTHING = Path(os.devnull)

_MEMORY_KILOBYTES = 4_000_000  # of address space: a small object may unpack to gigabytes
_LOOK_EVERY_SECONDS = 0.2
_TOO_LARGE = "too large"

# The script that starts it. Nothing is ever written to its standard input, so `read` returns only when this
# process is gone, and then the group is killed. Limits are set here, because Python could set them only
# between fork and exec, which is not safe with threads. Arguments: kilobytes of address space (not every
# system has this limit), blocks of 512 bytes per file, the input file, the command.
_START = """
exec 3<&0
(read _ <&3; kill -KILL 0) >/dev/null 2>&1 &
exec 3<&- <"$3"
ulimit -v "$1" 2>/dev/null
ulimit -f "$2"
shift 3
exec "$@"
"""


class FetchError(Exception):
    """This repository cannot be fetched; the message is the reason, in the same words for the same cause."""


class StoppedError(Exception):
    """The run was stopped while git was running."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A deadline by `time.monotonic`, and the maximum size of its folder in bytes (None: no maximum)."""

    deadline: float
    max_bytes: int | None


@contextmanager
def bounded_process(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    bounds: Bounds,
    stopped: threading.Event,
    *,
    stdout: int,
    asked: Path = NOTHING,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` in `folder` with `asked` as its input; it has ended when the block ends.

    Raises:
        FetchError: it exceeded its bounds.
        StoppedError: `stopped` was set.
    """
    blocks = str(2 * bounds.max_bytes // 512 + 1) if bounds.max_bytes is not None else "unlimited"
    with (folder / MESSAGES).open("wb") as stderr:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _START, "sh", str(_MEMORY_KILOBYTES), blocks, asked, *command],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    watch = _Watch(process, folder, bounds, stopped)
    try:
        with watch:
            yield process
            if process.stdout is not None:
                process.stdout.close()
            process.wait()
    except FetchError:
        watch.raise_breach()  # the reason why its output broke off
        raise
    finally:
        _end(process)
    watch.raise_breach()


class _Watch:
    """Kills a process that takes too long, writes too much, or whose run was stopped."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        folder: Path,
        bounds: Bounds,
        stopped: threading.Event,
    ) -> None:
        self._process, self._folder, self._bounds, self._stopped = process, folder, bounds, stopped
        self._done = threading.Event()
        self._breach: Exception | None = None
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self._breach is None and self._is_too_large():  # since the last check
            self._breach = FetchError(_TOO_LARGE)

    def raise_breach(self) -> None:
        if self._breach is not None:
            raise self._breach

    def _look(self) -> None:
        while not self._done.wait(_LOOK_EVERY_SECONDS):
            if self._stopped.is_set():
                self._breach = StoppedError()
            elif time.monotonic() > self._bounds.deadline:
                self._breach = FetchError("took too long")
            elif self._is_too_large():
                self._breach = FetchError(_TOO_LARGE)
            if self._breach is not None:
                _kill(self._process)
                return

    def _is_too_large(self) -> bool:
        max_bytes = self._bounds.max_bytes
        return max_bytes is not None and _num_bytes(self._folder) > max_bytes


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all its children if it is running, and close its pipes."""
    if process.poll() is None:
        _kill(process)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it has ended by itself
        os.killpg(process.pid, signal.SIGKILL)


def _num_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except OSError:  # renamed or removed meanwhile
            continue
    return total
