"""Starts the processes of a run on this machine, and starts all of them again if one is killed.

It does what `torchrun` does for one machine, with the same variables. It differs in what a user sees: one
sentence for a failure, status 130 after Ctrl-C, and enough time to write a checkpoint. The first process has
the terminal; the output of the others goes into files. `torchrun` starts several machines (docs/cluster.md).
Imports no torch.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from incoder.errors import IncoderError
from incoder.training.process_error import INTERRUPTED, VARIABLE, ProcessError, read_error
from incoder.training.status import newest_checkpoint
from incoder.training.watch import Watchdog

_STOP_SECONDS = 600.0  # to finish a step and to write a checkpoint after Ctrl-C
_NOTICE_SECONDS = 10.0  # for the others to notice that a process is gone, and to say so
_END_SECONDS = 20.0  # from SIGTERM to SIGKILL
_POLL_SECONDS = 0.05
_WATCH_SECONDS = 1.0
_PAUSE_SECONDS = 1.0  # before the processes are started again
_MEANINGS = {
    signal.SIGKILL: "often because memory was short",
    signal.SIGSEGV: "a fault in compiled code",
    signal.SIGBUS: "often because shared memory or a disk was full",
}


def launch(
    command: Sequence[str],
    output: Path,
    *,
    num_processes: int,
    max_restarts: int = 3,
    environment: Mapping[str, str] | None = None,
    names: Callable[[int], str] = lambda rank: f"process {rank}",
    on_note: Callable[[str], None] = lambda _: None,
) -> int:
    """Run a command in several processes that train into one folder; return their exit status.

    Each has the variables that `torchrun` sets, and those in `environment`. If one is killed or lost, all are
    started again, up to `max_restarts` times; the command must then go on from the newest checkpoint. SIGINT
    and SIGTERM are passed on once, and a second one ends the processes at once. `names` returns a rank's
    name for messages. Call it in the main thread.

    Raises:
        IncoderError: a process failed, or they were started again too often.
    """
    if num_processes < 1:
        raise IncoderError(f"the number of processes must be at least 1, got {num_processes}")
    failure = None
    for restart in range(max_restarts + 1):
        if failure is not None:
            on_note(f"{failure}; the run goes on from {_next_step(output)}")
            time.sleep(_PAUSE_SECONDS)
        folder = Path(tempfile.mkdtemp(prefix="incoder-"))
        watchdog = Watchdog(output, on_note)
        with _passed_on() as signals:
            variables = [_variables(rank, num_processes, restart, folder) for rank in range(num_processes)]
            port = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
            processes = _Processes(
                command, [own | port | dict(environment or {}) for own in variables], folder
            )
            processes.wait(signals, watchdog)
        if processes.is_interrupted(signals):
            status: int | None = INTERRUPTED
        else:
            status = None if any(processes.codes()) else 0
        if status is None:
            failure = _transient_failure(processes, folder, names)  # raises if a new start would fail, too
        shutil.rmtree(folder, ignore_errors=True)
        if status is not None:
            return status
    raise IncoderError(
        f"{failure}; the processes were started {max_restarts + 1} times, so this does not pass by itself; "
        f"--resume goes on from {_next_step(output)}"
    )


class _Processes:
    """The processes of one start, each in a session of its own, which a terminal's Ctrl-C does not reach."""

    def __init__(self, command: Sequence[str], variables: Sequence[Mapping[str, str]], folder: Path) -> None:
        self._all: list[subprocess.Popen[bytes]] = []
        self.ended: list[int] = []  # ranks in the order in which they ended, before any signal was sent
        self._has_signalled = False
        self._deadline = float("inf")
        for rank, own in enumerate(variables):
            with open(os.devnull if rank == 0 else folder / f"{rank}.log", "wb") as log:  # noqa: PTH123
                shown = None if rank == 0 else log
                self._all.append(
                    subprocess.Popen(
                        command, env=os.environ | own, stdout=shown, stderr=shown, start_new_session=True
                    )
                )

    def codes(self) -> list[int | None]:
        return [process.returncode for process in self._all]

    def is_interrupted(self, signals: Sequence[int]) -> bool:
        """Whether a user stopped them, by a signal to the launcher or to one of them."""
        codes = [code for code in self.codes() if code]
        return bool(signals) or (bool(codes) and all(code == INTERRUPTED for code in codes))

    def wait(self, signals: Sequence[int], watchdog: Watchdog) -> None:
        """Wait until all have ended: by themselves, by the user's `signals`, or since one has failed."""
        num_passed_on = 0
        next_look = time.monotonic() + _WATCH_SECONDS
        while self._is_one_running():
            now = time.monotonic()
            if len(signals) > num_passed_on:
                num_passed_on = len(signals)
                self._end(signals[-1] if num_passed_on == 1 else signal.SIGKILL, _STOP_SECONDS)
            elif now > self._deadline:
                self._end(signal.SIGKILL if self._has_signalled else signal.SIGTERM, _END_SECONDS)
            if now > next_look:
                watchdog.poll()
                next_look = now + _WATCH_SECONDS
            time.sleep(_POLL_SECONDS)

    def _is_one_running(self) -> bool:
        for rank, process in enumerate(self._all):
            if process.returncode is not None or process.poll() is None or self._has_signalled:
                continue
            self.ended.append(rank)
            if process.returncode == INTERRUPTED:  # the others have agreed to stop, and may be saving
                self._deadline = min(self._deadline, time.monotonic() + _STOP_SECONDS)
            elif process.returncode:
                self._deadline = min(self._deadline, time.monotonic() + _NOTICE_SECONDS)
        return any(process.returncode is None for process in self._all)

    def _end(self, number: int, seconds: float) -> None:
        self._has_signalled = True
        self._deadline = time.monotonic() + seconds
        for process in self._all:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)


def _transient_failure(processes: _Processes, folder: Path, names: Callable[[int], str]) -> str:
    """Return the first cause of a failure that another start may not have: one was killed, or lost others.

    Raises:
        IncoderError: a process says why it failed, or ended with a status of its own.
    """
    codes = processes.codes()
    errors = [read_error(_error_path(folder, rank)) for rank in range(len(codes))]
    causes = [rank for rank, error in enumerate(errors) if error is not None and not error.is_lost]
    if causes:
        raise IncoderError(_own_words(causes, errors, folder, names))
    for rank in processes.ended:
        code = codes[rank] or 0
        if code < 0:
            meaning = _MEANINGS.get(signal.Signals(-code), "")
            return f"{names(rank)} was killed (signal {-code}{meaning and ': ' + meaning})"
    lost = [error for error in errors if error is not None]
    if lost:
        return min(lost, key=lambda error: error.time).message
    failed = [rank for rank in (*processes.ended, *range(len(codes))) if codes[rank]]
    raise IncoderError(f"{names(failed[0])} ended with status {codes[failed[0]]}{_where(failed[0], folder)}")


def _own_words(
    causes: Sequence[int],
    errors: Sequence[ProcessError | None],
    folder: Path,
    names: Callable[[int], str],
) -> str:
    of_causes = {rank: error for rank in causes if (error := errors[rank]) is not None}
    first, error = min(of_causes.items(), key=lambda item: item[1].time)
    if not error.is_refusal:
        return f"{names(first)}: {error.kind}: {error.message}{_where(first, folder)}"
    is_everyones = len(errors) > 1 and all(other and other.message == error.message for other in errors)
    is_named = error.message.startswith("process ")
    return error.message if is_everyones or is_named else f"{names(first)}: {error.message}"


def _where(rank: int, folder: Path) -> str:
    return "" if rank == 0 else f"; its output is in {folder / f'{rank}.log'}"


def _next_step(output: Path) -> str:
    newest = newest_checkpoint(output)
    return "the beginning" if newest is None else f"step {newest[0]}"


def _variables(rank: int, num_processes: int, restart: int, folder: Path) -> dict[str, str]:
    """The environment of a process, besides the launcher's own."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(num_processes),
        "LOCAL_WORLD_SIZE": str(num_processes),
        "TORCHELASTIC_RESTART_COUNT": str(restart),
        "TORCHELASTIC_MAX_RESTARTS": "0",
        "LOGLEVEL": "ERROR",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        VARIABLE: str(_error_path(folder, rank)),
    }


def _error_path(folder: Path, rank: int) -> Path:
    return folder / f"{rank}.json"


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _passed_on() -> Iterator[list[int]]:
    """Collect the signals that ask this process to end, instead of ending."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, lambda got, _: received.append(got))
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
