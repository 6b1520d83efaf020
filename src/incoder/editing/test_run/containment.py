"""Run a shell command with a time limit; returns the end of its output, and none of its processes survives.

How far that holds depends on the system (`Request.has_namespaces`). This module knows no files and no edits.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from incoder.editing.test_run import supervisor
from incoder.editing.test_run.control_group import control_group
from incoder.errors import IncoderError

MAX_OUTPUT = 1_000_000  # bytes, from the end
_SECONDS_TO_END = 10.0
_MARK = "INCODER_TEST_RUN"  # in the environment of the command and of all processes that it starts


class UnavailableError(Exception):
    """The system does not allow this containment; the command was not started."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """An overlay file system: the command can change the folder without changing the original.

    `layers` are the original, an empty folder for the changes, and one for the kernel (overlayfs's lower,
    upper and work folders). `file`, which is in the original, gets the content of the file `text`.
    """

    layers: tuple[str, str, str]
    file: str
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """A shell command and the folder in which it runs.

    With `has_namespaces` it gets a PID and a mount namespace of its own (Linux), which no process can leave.
    There it cannot change the paths in `read_only`, and `overlay` takes the place of its tree.
    """

    command: str
    folder: str
    has_namespaces: bool = False
    read_only: Sequence[str] = ()
    overlay: Overlay | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a command: `status` is its exit status, None if it was killed, such as after its time."""

    status: int | None
    has_timed_out: bool
    output: bytes


def run_contained(request: Request, folder: Path, environment: Mapping[str, str], timeout: float) -> Ending:
    """Run the command for at most `timeout` seconds; `folder` is a private folder for this run.

    Raises:
        UnavailableError: the system does not allow this containment.
        IncoderError: the command cannot be started.
    """
    mark = f"incoder-{secrets.token_hex(16)}"
    groups = contextlib.nullcontext(None) if request.has_namespaces else control_group(mark)
    with groups as group:
        asked = folder / "request.json"
        asked.write_text(json.dumps({**asdict(request), "control_group": str(group) if group else None}))
        with _reading_pipe() as (reader, writer):
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, str(asked), str(writer)],
                env={**environment, _MARK: mark},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[writer],
            )
            has_timed_out, output = _awaited(process, timeout, mark)
            report = json.loads(_read_at_once(reader) or b"{}")
    if "unavailable" in report:
        raise UnavailableError(report["unavailable"])
    if "error" in report:
        raise IncoderError(f"the command cannot be started: {report['error']}")
    return Ending(None if has_timed_out else report.get("status"), has_timed_out, output)


def _awaited(process: "subprocess.Popen[bytes]", timeout: float, mark: str) -> tuple[bool, bytes]:
    """Wait for the command and kill all its processes; returns whether its time was up, and its output."""
    assert process.stdin is not None
    assert process.stdout is not None
    output, has_timed_out = _Tail(process.stdout), False
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        has_timed_out = True
    finally:
        process.send_signal(signal.SIGCONT)  # the command may have stopped it
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)
        if process.poll() is None:
            supervisor.kill_descendants(process.pid)
            process.kill()
            process.wait()
        deadline = time.monotonic() + _SECONDS_TO_END
        while (marked := _marked(mark)) and time.monotonic() < deadline:  # if the supervisors were killed
            supervisor.kill_all(marked)
    return has_timed_out, output.read()


def _marked(mark: str) -> list[int]:
    """The processes that have this mark in their environment."""
    found, entry = [], f"{_MARK}={mark}".encode()
    for pid in supervisor.processes():
        with contextlib.suppress(OSError):  # another user's process, or one that has just ended
            if entry in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
    return found


@contextlib.contextmanager
def _reading_pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def _read_at_once(descriptor: int) -> bytes:
    """The bytes that are in a pipe now."""
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        return os.read(descriptor, 1 << 16)
    return b""


class _Tail:
    """Reads a stream to its end in a thread, so that its writer never blocks, and keeps its last bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._thread = threading.Thread(target=self._read_all, daemon=True)
        self._thread.start()

    def read(self) -> bytes:
        """The last bytes; waits until no process has the stream open for writing, at most some seconds."""
        self._thread.join(_SECONDS_TO_END)
        return bytes(self._kept[-MAX_OUTPUT:])

    def _read_all(self) -> None:
        with self._stream:
            while read := os.read(self._stream.fileno(), 1 << 16):
                self._kept += read
                if len(self._kept) > 2 * MAX_OUTPUT:
                    del self._kept[:-MAX_OUTPUT]
