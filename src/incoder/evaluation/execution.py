"""Running programs that a model wrote: sources go in, verdicts come out.

Each program gets a fork of a bare interpreter (no environment, no user or installed packages), a temporary
folder that is its working and home folder, and limits on memory, processor time, file size and open files.
On Linux the kernel's walls are around it (sandbox/): no files but its own folder and the interpreter's, no
network, no other processes; and bubblewrap around all, where that is installed. What it prints is thrown
away. It has passed only if the fork said so with a random token that only this run knows: ending early, with
status 0, is not passing.

The program and what tells its end share one interpreter, so the token is not hidden from it: a program that
looks at the frames of its callers finds it and can forge its own verdict. Nothing inside of one process can
keep it from that.
"""

import contextlib
import functools
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from incoder.errors import IncoderError
from incoder.evaluation import sandbox

_FORK_SERVER = Path(sandbox.__file__).with_name("fork_server.py")
_PACKAGE = Path(sandbox.__file__).parents[2]
_IS_CONFINED = True
_DAY = 86_400  # seconds; the kernel's clocks have an end
_BUSY_SHARE = 0.8  # of its time; who had less of a processor shared it with others
_GRACE_SECONDS = 10.0  # beyond a program's time, until its fork server counts as lost


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use; `seconds` is time on the wall."""

    seconds: float = 3.0
    memory_bytes: int = 1 << 30
    file_bytes: int = 16 << 20
    num_open_files: int = 64

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise IncoderError(f"the execution limit {name} must be above 0, got {value}")
        if self.seconds > _DAY:
            raise IncoderError(f"the execution limit seconds must be at most {_DAY}, got {self.seconds:g}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a program ended.

    `failed`: it raised, `detail` is the exception's name. `timeout`: it ran past the limit, `detail` is
    "busy" or "waiting". `died`: it ended without a verdict, by a signal, `os._exit` or a crash; `detail` says
    how.
    """

    outcome: Literal["passed", "failed", "timeout", "died"]
    detail: str
    seconds: float

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"


@functools.cache
def sandbox_layers() -> tuple[str, ...]:
    """Which walls stand between a program and this machine: landlock, seccomp, bubblewrap, or none."""
    with _server() as server:
        layers = server.ask({"probe": True}, _GRACE_SECONDS)["layers"]
    return (*layers, *(["bubblewrap"] if _bubblewrap() else []))


def describe_sandbox() -> dict[str, Any]:
    """The same with all else that holds a program in, for the record beside results."""
    return {
        "layers": list(sandbox_layers()),
        "process": "fork of a bare interpreter, own session",
        "folder": "temporary",
        "limits": sorted(_resource_limits(Limits())),
    }


def check_sandbox(allow_none: bool) -> None:
    """Refuse to run what a model wrote where no wall is around it, unless told to.

    Raises:
        IncoderError: there is none, and nobody said that this is right.
    """
    if not (allow_none or sandbox_layers()):
        raise IncoderError(
            "this machine has neither Landlock nor seccomp nor bubblewrap to hold programs that a model "
            "wrote; run where nothing can be lost, in a container for one, and say --no-sandbox"
        )


def run_programs(
    programs: Sequence[str],
    *,
    limits: Limits | None = None,
    num_workers: int = 2,
    on_verdict: Callable[[int], None] | None = None,
) -> list[Verdict]:
    """Run every program and return the verdicts in the same order.

    A program that ran out of time but had no processor to itself is run once more at the end, alone: a busy
    machine makes false timeouts. `on_verdict` is called in this thread with the number of programs done.

    Raises:
        IncoderError: `num_workers` is below 1.
    """
    if num_workers < 1:
        raise IncoderError(f"num_workers must be at least 1, got {num_workers}")
    limits = limits or Limits()
    with _servers(num_workers) as servers, ThreadPoolExecutor(num_workers) as pool:
        verdicts = []
        for verdict in pool.map(lambda program: _run(program, limits, servers), programs):
            verdicts.append(verdict)
            if on_verdict is not None:
                on_verdict(len(verdicts))
        return [
            _run(program, limits, servers)
            if (verdict.outcome, verdict.detail) == ("timeout", "waiting")
            else verdict
            for program, verdict in zip(programs, verdicts, strict=True)
        ]


class _ServerLostError(Exception):
    """A fork server does not answer."""


class _Server:
    """A fork server, and a folder that is all that its programs can write to."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="incoder-programs-", ignore_cleanup_errors=True)
        # What -I does, except that PYTHONHASHSEED is read: the order of a set is the same in every run.
        command = [sys.executable, "-s", "-S", "-P", "-B", str(_FORK_SERVER)]
        environment = {"HOME": self._folder.name, "TMPDIR": self._folder.name}
        self._process = subprocess.Popen(
            [*_wrapped(self._folder.name), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env={**environment, "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Its answer, within that time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise _ServerLostError from error
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            raise _ServerLostError
        try:
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        except ValueError as error:
            raise _ServerLostError from error
        return answer

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        with contextlib.suppress(OSError, RecursionError):
            self._folder.cleanup()
        subprocess.run(["rm", "-rf", "--", self._folder.name], capture_output=True, check=False)


@contextmanager
def _server() -> Iterator[_Server]:
    server = _Server()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def _servers(number: int) -> Iterator["SimpleQueue[_Server]"]:
    """Fork servers, to be taken and put back; one that was lost is replaced."""
    queue: SimpleQueue[_Server] = SimpleQueue()
    for _ in range(number):
        queue.put(_Server())
    try:
        yield queue
    finally:
        for _ in range(number):
            queue.get().close()


def _run(program: str, limits: Limits, servers: "SimpleQueue[_Server]") -> Verdict:
    token = secrets.token_hex(16)
    request = {
        "token": token,
        "limits": _resource_limits(limits),
        "seconds": limits.seconds,
        "program": program,
        "confined": _IS_CONFINED,
    }
    server = servers.get()
    try:
        answer = server.ask(request, limits.seconds + _GRACE_SECONDS)
    except _ServerLostError:
        server.close()
        server = _Server()
        return Verdict("died", "and took its fork server along", limits.seconds)
    finally:
        servers.put(server)
    told, _, ending = answer["told"].partition(" ")
    outcome, _, detail = ending.partition(" ")
    if told == token:
        return Verdict("passed" if outcome == "passed" else "failed", detail, answer["seconds"])
    if answer["timed_out"] or answer["status"] == -signal.SIGXCPU:
        is_busy = answer["busy_seconds"] > _BUSY_SHARE * limits.seconds
        return Verdict("timeout", "busy" if is_busy else "waiting", answer["seconds"])
    return Verdict("died", _how_it_died(answer["status"]), answer["seconds"])


def _how_it_died(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit status {status}"


@functools.cache
def _bubblewrap() -> str | None:
    """Where bubblewrap is, if it can be used: a system may forbid it."""
    found = shutil.which("bwrap")
    if found is None:
        return None
    tried = subprocess.run([found, *_WRAPPING, "true"], capture_output=True, check=False)
    return found if tried.returncode == 0 else None


_WRAPPING = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "--die-with-parent")


def _wrapped(folder: str) -> list[str]:
    """The beginning of a command that runs inside bubblewrap, where it is: read-only but for the folder."""
    found = _bubblewrap()
    if found is None:
        return []
    hidden = [flag for place in ("/tmp", str(Path.home())) for flag in ("--tmpfs", place)]
    shown = [
        flag for place in (sys.prefix, sys.base_prefix, str(_PACKAGE)) for flag in ("--ro-bind", place, place)
    ]
    return [found, *_WRAPPING, *hidden, *shown, "--bind", folder, folder, "--chdir", folder]


def _resource_limits(limits: Limits) -> dict[str, int]:
    amounts = {
        "RLIMIT_CPU": int(limits.seconds) + 1,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_NOFILE": limits.num_open_files,
        "RLIMIT_CORE": 0,
    }
    if sys.platform == "linux":
        amounts["RLIMIT_AS"] = limits.memory_bytes  # macOS refuses to lower it
    return amounts
