"""Running programs that a model wrote: sources go in, verdicts come out.

Each program gets a process of its own: a bare interpreter (no environment, no user or installed packages) in
a temporary folder that is its working and home folder, in a session that is killed whole when the time is up,
with limits on memory, processor time, file size and open files. What it prints is thrown away. It has passed
only if the runner said so with a random token that only this run knows: ending early, with status 0, is not
passing.

That keeps honest mistakes in: endless loops, memory without end, stray files. It is no wall against a program
that means harm: it can reach the network and read this user's files, and one that looks for the token can
forge a verdict.
"""

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from incoder.errors import IncoderError

_RUNNER = Path(__file__).with_name("program_runner.py")
_MAX_VERDICT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use; `seconds` is time on the wall, its interpreter starting (10–40 ms) too."""

    seconds: float = 3.0
    memory_bytes: int = 1 << 30
    file_bytes: int = 16 << 20
    num_open_files: int = 64

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value <= 0:
                raise IncoderError(f"the execution limit {name} must be above 0, got {value}")


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


def sandbox_layers() -> dict[str, Any]:
    """What stands between a program and this machine, for the record beside results."""
    return {"process": "own session", "folder": "temporary", "limits": sorted(_resource_limits(Limits()))}


def run_programs(
    programs: Sequence[str],
    *,
    limits: Limits | None = None,
    num_workers: int = 2,
    on_verdict: Callable[[int], None] | None = None,
) -> list[Verdict]:
    """Run every program and return the verdicts in the same order.

    A program that ran out of time waiting more than computing is run once more at the end, alone: a busy
    machine makes false timeouts. `on_verdict` is called in this thread with the number of programs done.

    Raises:
        IncoderError: `num_workers` is below 1.
    """
    if num_workers < 1:
        raise IncoderError(f"num_workers must be at least 1, got {num_workers}")
    limits = limits or Limits()
    verdicts = []
    with ThreadPoolExecutor(num_workers) as pool:
        for verdict in pool.map(lambda program: _run(program, limits), programs):
            verdicts.append(verdict)
            if on_verdict is not None:
                on_verdict(len(verdicts))
    return [
        _run(program, limits) if (verdict.outcome, verdict.detail) == ("timeout", "waiting") else verdict
        for program, verdict in zip(programs, verdicts, strict=True)
    ]


def _run(program: str, limits: Limits) -> Verdict:
    token = secrets.token_hex(16)
    request = json.dumps({"token": token, "limits": _resource_limits(limits)}).encode()
    with tempfile.TemporaryDirectory(prefix="incoder-program-", ignore_cleanup_errors=True) as folder:
        process, verdict_fd = _start(folder)
        start = time.monotonic()
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(request + b"\n" + program.encode("utf-8", "surrogatepass"))
            # Readable when the verdict is there, or when the process is gone without one.
            seconds_left = max(0.0, start + limits.seconds - time.monotonic())
            timed_out = not select.select([verdict_fd], [], [], seconds_left)[0]
            seconds = time.monotonic() - start
            told = None if timed_out else _read(verdict_fd)
        finally:
            # Killed before it is waited for, while its number is still its own.
            os.killpg(process.pid, signal.SIGKILL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            os.close(verdict_fd)
    if told is not None and told[0] == token:
        return Verdict(told[1], told[2], seconds)
    if timed_out or process.returncode == -signal.SIGXCPU:
        is_busy = usage.ru_utime + usage.ru_stime > limits.seconds / 2
        return Verdict("timeout", "busy" if is_busy else "waiting", seconds)
    return Verdict("died", _how_it_died(process.returncode), seconds)


def _start(folder: str) -> tuple[subprocess.Popen[bytes], int]:
    """The runner in a session of its own, and where its verdict can be read."""
    read_fd, write_fd = os.pipe()
    try:
        process = subprocess.Popen(
            # What -I does, except that PYTHONHASHSEED is read: the order of a set is the same in every run.
            [sys.executable, "-s", "-S", "-P", "-B", str(_RUNNER), str(write_fd)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"HOME": folder, "TMPDIR": folder, "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
            pass_fds=(write_fd,),
            start_new_session=True,
        )
    except BaseException:
        os.close(read_fd)
        raise
    finally:
        os.close(write_fd)
    return process, read_fd


def _read(verdict_fd: int) -> list[Any] | None:
    with contextlib.suppress(ValueError):
        told = json.loads(os.read(verdict_fd, _MAX_VERDICT_BYTES))
        if isinstance(told, list) and len(told) == 3:
            return told
    return None


def _how_it_died(returncode: int) -> str:
    if returncode < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-returncode).name
    return f"exit status {returncode}"


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
