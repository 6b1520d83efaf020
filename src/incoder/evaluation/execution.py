"""Execution of programs that a model wrote: programs go in, verdicts come out.

Each program gets a fork of a bare interpreter (no environment, no user or installed packages), a temporary
folder that is its working and home folder, and limits on memory, processor time, files and the folder as a
whole. On Linux the kernel confines it (sandbox/): it opens no files but its own and the interpreter's, and
reaches no network and no other processes. Where bubblewrap is installed, all of this runs inside it.

If output decides, a program runs for each test as a process with its own stdin and stdout, and its output is
compared here, out of its reach. If assertions decide, the tests run in the program's interpreter, and it
passes only if the fork sends back a token that is made after the tests have run: ending early with status 0
is not passing. Such a program can still change what its tests see, or send the token as the fork does;
docs/evaluation.md lists how.
"""

import contextlib
import functools
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from queue import SimpleQueue
from typing import Any, Literal

from incoder.errors import IncoderError
from incoder.evaluation.fork_servers import Server, ServerLostError, bubblewrap, one_server, several_servers
from incoder.evaluation.output_comparison import is_same_output
from incoder.evaluation.programs import AnyProgram, OutputTest, Program

_IS_CONFINED = True
_DAY = 86_400  # seconds; the kernel's timers overflow at some point
_BUSY_SHARE = 0.8  # a program that never sleeps uses or waits for a processor for this share of its time
_SOME_SHARE = 0.1  # a program that does more than sleep uses a processor for this share of its time
_GRACE_SECONDS = 10.0  # after a program's time limit, until its fork server counts as lost


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one program. `seconds` is wall-clock time, for each test if output decides.

    `folder_bytes` limits all its files together and is checked 20 times a second. `output_bytes` limits its
    output if that is compared.
    """

    # One or two in a hundred wrong completions loop for ever, so this limit decides how long a run takes.
    seconds: float = 3.0
    memory_bytes: int = 1 << 30
    file_bytes: int = 16 << 20
    folder_bytes: int = 64 << 20
    output_bytes: int = 16 << 20
    num_open_files: int = 64

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise IncoderError(f"the execution limit {name} must be above 0, got {value}")
        if self.seconds > _DAY:
            raise IncoderError(f"the execution limit seconds must be at most {_DAY}, got {self.seconds:g}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a program.

    `failed`: it raised an exception, whose name is `detail`, or its output was wrong. `timeout`: it ran past
    the limit, and `detail` is "busy", "waiting" (for a processor) or "sleeping". `died`: it ended without a
    verdict, by a signal, `os._exit` or a crash, or was killed because it exceeded a limit; `detail` says how.
    If output decides, `detail` begins with the number of the test.
    """

    outcome: Literal["passed", "failed", "timeout", "died"]
    detail: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the program passed."""
        return self.outcome == "passed"

    @property
    def was_starved(self) -> bool:
        """Whether its time ran out while it waited for a processor."""
        return self.outcome == "timeout" and self.detail.endswith("waiting")


@functools.cache
def sandbox_layers() -> tuple[str, ...]:
    """The sandbox layers that this machine has: landlock, seccomp, bubblewrap, or none."""
    with one_server() as server:
        layers = server.ask({"probe": True}, _GRACE_SECONDS)["layers"]
    return (*layers, *(["bubblewrap"] if bubblewrap() else []))


def describe_sandbox() -> dict[str, Any]:
    """The sandbox layers and everything else that confines a program, as recorded in results."""
    return {
        "layers": list(sandbox_layers()),
        "process": "fork of a bare interpreter, own session",
        "folder": "temporary",
        "limits": [*sorted(_resource_limits(Limits())), "folder_bytes", "output_bytes"],
    }


def check_sandbox(allow_none: bool) -> None:
    """Refuse to run programs of a model without any sandbox layer, unless that is allowed.

    Raises:
        IncoderError: there is no layer, and `allow_none` is False.
    """
    if not (allow_none or sandbox_layers()):
        raise IncoderError(
            "this machine has neither Landlock nor seccomp nor bubblewrap to confine programs that a model "
            "wrote; run where nothing can be lost, such as in a container, with --no-sandbox"
        )


def run_programs(
    programs: Sequence[AnyProgram],
    *,
    limits: Limits | None = None,
    num_workers: int = 2,
    on_verdict: Callable[[int], None] | None = None,
) -> list[Verdict]:
    """Run every program and return the verdicts in the same order.

    A program whose time ran out while it waited for a processor runs once more at the end, alone, because a
    busy machine causes false timeouts; a program that slept does not. `on_verdict` is called in this thread
    with the number of programs done.

    Raises:
        IncoderError: `num_workers` is below 1.

    >>> [verdict.outcome for verdict in run_programs([Program("x = 1", "assert x == 1"), Program("1 / 0")])]
    ['passed', 'failed']
    """
    if num_workers < 1:
        raise IncoderError(f"num_workers must be at least 1, got {num_workers}")
    limits = limits or Limits()
    with several_servers(num_workers) as servers, ThreadPoolExecutor(num_workers) as pool:
        verdicts = []
        for verdict in pool.map(lambda program: _run(program, limits, servers), programs):
            verdicts.append(verdict)
            if on_verdict is not None:
                on_verdict(len(verdicts))
        return [
            _run(program, limits, servers) if verdict.was_starved else verdict
            for program, verdict in zip(programs, verdicts, strict=True)
        ]


def _run(program: AnyProgram, limits: Limits, servers: "SimpleQueue[Server]") -> Verdict:
    if isinstance(program, Program):
        request = {"program": program.source, "tests": program.tests}
        return _verdict(_asked(request, limits, servers), limits)
    seconds = 0.0
    for number, test in enumerate(program.tests, start=1):
        answer = _asked({"program": program.source, "stdin": test.stdin}, limits, servers)
        verdict = _verdict_of_output(answer, test, limits)
        seconds += verdict.seconds
        if not verdict.passed:
            return replace(verdict, detail=f"test {number}: {verdict.detail}", seconds=seconds)
    return Verdict("passed", "", seconds)


def _asked(request: dict[str, Any], limits: Limits, servers: "SimpleQueue[Server]") -> dict[str, Any] | None:
    """Send a request to the next free fork server; returns None if the program killed the server, too."""
    request |= {
        "limits": _resource_limits(limits),
        "seconds": limits.seconds,
        "folder_bytes": limits.folder_bytes,
        "output_bytes": limits.output_bytes,
        "confined": _IS_CONFINED,
    }
    server = servers.get()
    try:
        return server.ask(request, limits.seconds + _GRACE_SECONDS)
    except ServerLostError:
        server.close()
        server = Server()
        return None
    finally:
        servers.put(server)


def _verdict(answer: dict[str, Any] | None, limits: Limits) -> Verdict:
    """The verdict on a program whose tests assert."""
    if answer is not None and answer.get("passed"):
        return Verdict("passed", "", answer["seconds"])
    if answer is not None and answer.get("failed") is not None:
        return Verdict("failed", answer["failed"], answer["seconds"])
    return _verdict_without_result(answer, limits)


def _verdict_of_output(answer: dict[str, Any] | None, test: OutputTest, limits: Limits) -> Verdict:
    """The verdict of one test on a program whose output decides."""
    if answer is None or answer["exceeded"] or answer["timed_out"] or answer["status"] < 0:
        return _verdict_without_result(answer, limits)
    if answer["status"] != 0:
        return Verdict("failed", f"exit status {answer['status']}", answer["seconds"])
    printed = answer["printed"].encode("latin-1").decode("utf-8", "replace")
    is_right = any(is_same_output(printed, expected) for expected in test.outputs)
    return Verdict("passed" if is_right else "failed", "" if is_right else "wrong output", answer["seconds"])


def _verdict_without_result(answer: dict[str, Any] | None, limits: Limits) -> Verdict:
    """The verdict on a program that was killed, or ended before it should."""
    if answer is None:
        return Verdict("died", "and ended its fork server, too", limits.seconds)
    if answer["exceeded"] is not None:
        return Verdict("died", f"{answer['exceeded']} grew too large", answer["seconds"])
    if answer["timed_out"] or answer["status"] == -signal.SIGXCPU:
        return Verdict("timeout", _how_it_waited(answer, limits.seconds), answer["seconds"])
    return Verdict("died", _how_it_died(answer["status"]), answer["seconds"])


def _how_it_waited(answer: dict[str, Any], seconds: float) -> Literal["busy", "waiting", "sleeping"]:
    """Whether a program computed, waited for a processor, or did neither for most of its time.

    If the kernel does not count the waiting, a program that computed for a tenth of its time counts as
    waiting.
    """
    busy, waited = answer["busy_seconds"], answer["waited_seconds"]
    if busy > _BUSY_SHARE * seconds:
        return "busy"
    if waited is None:
        return "waiting" if busy > _SOME_SHARE * seconds else "sleeping"
    return "waiting" if busy + waited > _BUSY_SHARE * seconds else "sleeping"


def _how_it_died(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit status {status}"


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
