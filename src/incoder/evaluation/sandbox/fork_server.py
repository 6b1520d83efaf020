"""The fork server: a bare interpreter that runs each program in a fork of itself, confined.

It is started as a script. It reads one request per line as JSON from stdin: `program`, `limits`, `seconds`,
`folder_bytes`, `output_bytes`, `confined`, and either `tests` that assert or the `stdin` of a process whose
output decides; or only `probe`. It answers each with one line on stdout. Only the server kills programs, so
that no process id is used after its process has been reaped.
"""

import builtins
import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import secrets
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # the path has only the standard library, and programs shall see nothing else
    sys.path.insert(0, str(Path(__file__).parents[3]))

from incoder.evaluation.sandbox import child, usage

_PR_SET_CHILD_SUBREAPER = 36
_CHUNK = 1 << 16
_MAX_VERDICT_BYTES = 4096
_CHECK_SECONDS = 0.05  # between two checks of a program's folder
_PRELOADED = (
    *("bisect", "collections", "copy", "datetime", "decimal", "fractions", "functools", "hashlib", "heapq"),
    *("itertools", "math", "operator", "re", "statistics", "string", "threading", "traceback", "typing"),
)


def main() -> None:
    """Serve until stdin is closed, which also happens if the run is killed; then remove the folder."""
    reply_fd = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    for name in _PRELOADED:
        importlib.import_module(name)
    site_builtins = importlib.import_module("_sitebuiltins")  # an interpreter without -S has these
    for name in ("exit", "quit"):
        setattr(builtins, name, site_builtins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    del sys.path[0]
    for name in [name for name in sys.modules if name.partition(".")[0] == "incoder"]:
        del sys.modules[name]
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    gc.collect()
    gc.freeze()
    try:
        for line in sys.stdin.buffer:
            request = json.loads(line)
            answer = {"layers": _probe()} if "probe" in request else _serve(request)
            reply = json.dumps(answer).encode() + b"\n"
            while reply:
                reply = reply[os.write(reply_fd, reply) :]
    except BrokenPipeError:
        pass
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)


def _serve(request: dict[str, Any]) -> dict[str, Any]:
    """Run one program; returns how it ended, what it printed, and the time it used."""
    folder = tempfile.mkdtemp(prefix="program-")
    is_process = request.get("stdin") is not None
    run = child.run_as_main if is_process else child.run_with_assertions
    start = time.monotonic()
    pid, to_child, from_child = _forked(lambda: run(request, folder), is_process=is_process)
    watch = _Watch(pid, folder, request, start + request["seconds"])
    try:
        ask = watch.process if is_process else watch.verdict
        answer = ask(to_child, from_child)
    finally:
        seconds = time.monotonic() - start
        waited_seconds = usage.seconds_on_run_queues(pid)
        status, used = _ended(pid, watch.status)
        for fd in (to_child, from_child):
            with contextlib.suppress(OSError):
                os.close(fd)
        with contextlib.suppress(OSError, RecursionError):  # leftovers go with the server's folder
            shutil.rmtree(folder)
    return {
        **answer,
        "status": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "busy_seconds": used.ru_utime + used.ru_stime,
        "waited_seconds": waited_seconds,
    }


class _Watch:
    """A running program, watched until it ends, its time is up, or it exceeds a limit."""

    def __init__(self, pid: int, folder: str, request: dict[str, Any], deadline: float) -> None:
        self._pid, self._folder, self._request, self._deadline = pid, folder, request, deadline
        self.status: tuple[int, resource.struct_rusage] | None = None
        self._next_check = time.monotonic() + _CHECK_SECONDS
        self._stopped: dict[str, Any] = {}  # the reason why it may not continue
        self._received = b""

    def verdict(self, token_fd: int, verdict_fd: int) -> dict[str, Any]:
        """Whether program and tests ran to their end, or the exception raised; neither if it died."""
        word, _, name = self._line(verdict_fd).partition(" ")
        if word != child.ENDED:
            return self._ending(passed=False, failed=name if word == "failed" else None)
        # Make the token only now, after the fork, so that the program's memory cannot contain it.
        token = secrets.token_hex(child.TOKEN_BYTES // 2)
        with contextlib.suppress(BrokenPipeError):
            os.write(token_fd, token.encode())
        return self._ending(passed=self._line(verdict_fd) == token, failed=None)

    def process(self, stdin_fd: int, stdout_fd: int) -> dict[str, Any]:
        """Feed it its stdin and collect its output until it ends."""
        unsent = memoryview(self._request["stdin"].encode("utf-8", "surrogateescape"))
        os.set_blocking(stdin_fd, False)
        printed, is_open, is_fed = bytearray(), True, False
        while self._goes_on():
            if not unsent and not is_fed:
                os.close(stdin_fd)
                is_fed = True
            readable, writable, _ = select.select(
                [stdout_fd] if is_open else [], [] if is_fed else [stdin_fd], [], self._pause(is_open)
            )
            if writable:
                try:
                    unsent = unsent[os.write(stdin_fd, unsent[:_CHUNK]) :]
                except BrokenPipeError:
                    unsent = unsent[:0]
            if readable:
                chunk = os.read(stdout_fd, _CHUNK)
                printed += chunk
                is_open = bool(chunk)
            if len(printed) > self._request["output_bytes"]:
                return self._ending(exceeded="what it printed")
            if self.status is not None and not (is_open and readable):
                break  # it had ended before this read, so there is no more output
            if not is_open or not readable:
                self._check_whether_it_ended()
        return self._ending(printed=bytes(printed).decode("latin-1"))

    def _line(self, verdict_fd: int) -> str:
        """The next line from the pipe; empty at its end, or if the program may not continue."""
        while b"\n" not in self._received and len(self._received) < _MAX_VERDICT_BYTES and self._goes_on():
            if select.select([verdict_fd], [], [], self._pause(is_open=True))[0]:
                more = os.read(verdict_fd, _CHUNK)
                if not more:
                    break
                self._received += more
        line, _, self._received = self._received.partition(b"\n")
        return line.decode("utf-8", "replace")

    def _pause(self, is_open: bool) -> float:
        longest = _CHECK_SECONDS if is_open else 0.001  # stdout is closed, so it ends soon
        return max(0.0, min(longest, self._deadline - time.monotonic()))

    def _goes_on(self) -> bool:
        now = time.monotonic()
        if now >= self._deadline:
            self._stopped = {"timed_out": True}
            return False
        if now >= self._next_check:
            if usage.folder_exceeds(self._folder, self._pid, self._request["folder_bytes"]):
                self._stopped = {"exceeded": "its folder"}
                return False
            self._next_check = time.monotonic() + _CHECK_SECONDS
        return True

    def _ending(self, **found: Any) -> dict[str, Any]:
        return {"timed_out": False, "exceeded": None, **found, **self._stopped}

    def _check_whether_it_ended(self) -> None:
        if self.status is None:
            pid, status, used = os.wait4(self._pid, os.WNOHANG)
            if pid:
                self.status = status, used


def _forked(work: Callable[[], None], *, is_process: bool) -> tuple[int, int, int]:
    """Fork a child into its own session; returns its process id and our ends of a pipe to it and one from it.

    If it `is_process`, the pipes are its stdin and stdout. Otherwise its stdin and stdout are empty, and the
    pipes are those of the token and the verdict. The child has no other file open.
    """
    (from_server, to_child), (from_child, to_server) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid:
        os.close(from_server)
        os.close(to_server)
        return pid, to_child, from_child
    leave = os._exit
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        # First move them away: one of the numbers assigned below may be in use by a pipe.
        reading, writing, nothing = map(_moved_up, (from_server, to_server, null))
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        os.dup2(reading, 0 if is_process else child.TOKEN_FD)
        os.dup2(writing, 1 if is_process else child.VERDICT_FD)
        os.closerange(3 if is_process else 5, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        for name, fd, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
            stream = open(fd, mode)  # noqa: PTH123, SIM115 - open as long as the process runs
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        work()
    finally:
        leave(1)


def _moved_up(fd: int) -> int:
    """The same open file under a number above those that a child uses."""
    fds = [fd]
    while fds[-1] <= child.TOKEN_FD:
        fds.append(os.dup(fd))
    return fds[-1]


def _probe() -> list[str]:
    """The sandbox layers of this machine, found by confining a child."""
    with tempfile.TemporaryDirectory(prefix="program-") as folder:
        pid, to_child, from_child = _forked(lambda: _write_layers(folder), is_process=True)
        written = os.read(from_child, _MAX_VERDICT_BYTES)
        _ended(pid, None)
        os.close(to_child)
        os.close(from_child)
    layers: list[str] = json.loads(written or b"[]")
    return layers


def _write_layers(folder: str) -> None:
    os.write(1, json.dumps(child.confine(folder)).encode())


def _ended(pid: int, status: tuple[int, resource.struct_rusage] | None) -> tuple[int, resource.struct_rusage]:
    """Kill a child and all its descendants; returns how the child ended and what it used."""
    if status is None:
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if status is None:
        _, code, used = os.wait4(pid, 0)
        status = code, used
    _end_orphans()
    return status


def _end_orphans() -> None:
    """Kill the descendants that left the session: they have become children of this process."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while children.exists() and (orphans := children.read_text().split()):
        for orphan in map(int, orphans):
            os.kill(orphan, signal.SIGKILL)
            os.waitpid(orphan, 0)


if __name__ == "__main__":
    main()
