"""A program that is given a time, a size and a memory, and that ends with us whatever ends us.

A command and its bounds in; what it writes out through a pipe. Knows nothing of git.
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

MESSAGES = "messages"  # the file in its folder that has what it wrote to standard error
NOTHING = Path(os.devnull)

_MEMORY_KILOBYTES = 4_000_000  # of addresses; against objects that unpack to gigabytes
_LOOK_EVERY_SECONDS = 0.2
_TOO_LARGE = "too large"

# How it is started. Our end of its standard input is never written to, so that a read on it returns when we
# are gone, and the group is killed. Limits are set here because Python can set them only between fork and
# exec, which is not safe with threads. Arguments: kilobytes of addresses (not every system knows this limit),
# blocks of 512 bytes a file, what it reads, the command.
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
    """This repository cannot be had; the message is the reason, the same words for the same kind of thing."""


class StoppedError(Exception):
    """The run was stopped while git was at work."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A time of `time.monotonic`, and how many bytes its folder may hold (None: any number)."""

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
    """Run `command` in `folder` on the content of `asked`; when the block ends, it has ended.

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
        watch.raise_breach()  # which is why there was less to read than there should be
        raise
    finally:
        _end(process)
    watch.raise_breach()


class _Watch:
    """Kills a process that takes too long, writes too much, or is no longer wanted."""

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
        if self._breach is None and self._is_too_large():  # since it was last looked at
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
    """End a process and all its helpers, whether it has ended or not."""
    if process.poll() is None:
        _kill(process)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it has just ended
        os.killpg(process.pid, signal.SIGKILL)


def _num_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except OSError:  # renamed or removed meanwhile
            continue
    return total
