"""Hostile commands: none of their processes is alive when the call returns, and the user's process is."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from incoder.editing.test_run import containment, supervisor
from incoder.editing.test_run.containment import Ending, Request, UnavailableError, run_contained
from incoder.editing.test_run.control_group import control_group
from incoder.errors import IncoderError

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the process group is ended")
_NUMBERS = itertools.count(700_000 + os.getpid() % 10_000 * 10)
PARENT_OF_PARENT = "$(cut -d ' ' -f 4 /proc/$PPID/stat)"


def unique_seconds() -> str:
    """A number that names the `sleep` of one test in the list of processes."""
    return str(next(_NUMBERS))


def alive(seconds: str) -> list[str]:
    """The processes with this number among their arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            if seconds.encode() in arguments:
                found.append(folder.name)
    return found


@dataclass(frozen=True)
class Run:
    folder: Path
    has_namespaces: bool

    def __call__(self, command: str, timeout: float = 20.0) -> Ending:
        request = Request(command, str(self.folder), self.has_namespaces)
        return run_contained(request, self.folder, os.environ, timeout)


@pytest.fixture(params=[True, False], ids=["namespaces", "plain"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    run = Run(tmp_path, request.param)
    try:
        run("true")
    except UnavailableError as error:
        pytest.skip(f"no namespaces: {error}")
    return run


@linux
@pytest.mark.parametrize(
    "command",
    [
        "kill -9 $PPID; sleep {n}",
        "kill -STOP $PPID; sleep {n}",
        "kill -9 $PPID; setsid sleep {n} & sleep {n}",
        "kill -9 $PPID; env -i setsid sleep {n}",
        "setsid sleep {n} & setsid -f sleep {n}; sleep {n}",
        "trap '' TERM HUP INT; (trap '' TERM; sleep {n}) & wait",
        "while :; do setsid sleep {n} & sleep 0.01; done",
    ],
)
def test_a_hostile_command_that_goes_on_is_ended_with_all_its_processes(run: Run, command: str) -> None:
    seconds = unique_seconds()
    started = time.monotonic()
    assert run(command.format(n=seconds), 0.3).status is None
    assert alive(seconds) == []
    assert time.monotonic() - started < 10


@linux
@pytest.mark.parametrize(
    "command",
    [
        "setsid sleep {n} & exit",
        "setsid -f sleep {n}",
        "nohup sleep {n} >/dev/null 2>&1 &",
        "(setsid sh -c 'sleep {n}; true' &)",
        "env -i setsid -f sleep {n}",
        "kill -STOP $PPID; setsid -f sleep {n}",
    ],
)
def test_processes_that_a_command_leaves_are_killed_and_its_status_counts(run: Run, command: str) -> None:
    seconds = unique_seconds()
    ending = run(f"{command.format(n=seconds)}")
    assert (ending.status, ending.has_timed_out) == (0, False)
    assert alive(seconds) == []


@linux
def test_a_command_that_kills_both_its_supervisors_is_ended_and_does_not_pass(run: Run) -> None:
    seconds = unique_seconds()
    ending = run(f"kill -9 {PARENT_OF_PARENT} $PPID; setsid -f sleep {seconds}; sleep {seconds}", 0.5)
    assert ending.status != 0
    assert alive(seconds) == []


@linux
def test_a_command_that_stops_both_its_supervisors_is_ended(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containment, "_SECONDS_TO_END", 0.3)
    seconds = unique_seconds()
    ending = run(f"kill -STOP {PARENT_OF_PARENT} $PPID; setsid -f sleep {seconds}; sleep {seconds}", 0.3)
    assert ending.status is None
    assert alive(seconds) == []


def test_a_command_that_kills_its_parent_passes_only_where_the_kernel_ignores_that(run: Run) -> None:
    ending = run("kill -9 $PPID; sleep 0.2; exit 0")
    assert (ending.status, ending.has_timed_out) == (0 if run.has_namespaces else None, False)


def test_the_status_of_a_command_is_that_of_a_shell(run: Run) -> None:
    assert run("exit 7").status == 7
    assert run("kill -TERM $$").status == 128 + signal.SIGTERM
    assert run("true").status == 0


def test_a_command_cannot_write_its_own_verdict(run: Run) -> None:
    forge = 'for file in /proc/$PPID/fd/* /dev/fd/*; do echo \'{"pid": 1, "status": 0}\' >$file; done'
    assert run(f"({forge}) 2>/dev/null & sleep 0.1; exit 5", 5.0).status != 0


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_command_ends_with_us_whatever_ends_us(run: Run, number: int) -> None:
    seconds, folder = unique_seconds(), str(run.folder)
    program = (
        "import os; from pathlib import Path\n"
        "from incoder.editing.test_run.containment import Request, run_contained\n"
        f"request = Request('setsid -f sleep {seconds}; sleep {seconds}', {folder!r}, {run.has_namespaces})\n"
        f"run_contained(request, Path({folder!r}), os.environ, 60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    _wait_until(lambda: len(alive(seconds)) >= 2)
    process.send_signal(number)
    process.wait()
    _wait_until(lambda: not alive(seconds))


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@linux
def test_with_namespaces_a_command_may_kill_all_that_it_can(tmp_path: Path) -> None:
    ours = subprocess.Popen(["sleep", "60"])
    try:
        ending = run_contained(Request("kill -9 -1; exit 3", str(tmp_path), True), tmp_path, os.environ, 10)
    except UnavailableError as error:
        pytest.skip(f"no namespaces: {error}")
    finally:
        is_alive = ours.poll() is None
        ours.kill()
        ours.wait()
    assert is_alive
    assert ending.status in (3, 128 + signal.SIGKILL)


def test_a_command_that_is_too_long_to_start_is_an_error_that_says_so(run: Run) -> None:
    with pytest.raises(IncoderError, match=r"cannot be started: .*too long"):
        run(f": {'x' * 200_000}")


@linux
def test_on_another_system_there_are_no_namespaces_and_the_process_group_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "elsewhere.py"
    script.write_text(
        "import runpy, sys\nsys.platform = 'darwin'\n"
        f"runpy.run_path({supervisor.__file__!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(supervisor, "__file__", str(script))
    monkeypatch.setattr(containment, "_marked", lambda _mark: [])
    monkeypatch.setattr(containment, "control_group", lambda _name: nullcontext(None))
    seconds = unique_seconds()
    with pytest.raises(UnavailableError, match="only Linux has namespaces"):
        run_contained(Request("true", str(tmp_path), True), tmp_path, os.environ, 10)
    for command, timeout in ((f"sleep {seconds} & exit 3", 10), (f"sleep {seconds} & sleep {seconds}", 0.3)):
        ending = run_contained(Request(command, str(tmp_path)), tmp_path, os.environ, timeout)
        assert ending.status == (3 if timeout == 10 else None)
        _wait_until(lambda: not alive(seconds))


@linux
def test_the_processes_of_a_cgroup_end_with_it() -> None:
    seconds = unique_seconds()
    with control_group(f"incoder-{seconds}") as group:
        if group is None:
            pytest.skip("there is no cgroup that this user may make")
        process = subprocess.Popen(["sleep", seconds])
        (group / "cgroup.procs").write_text(str(process.pid))
        assert alive(seconds)
    assert process.wait(5) == -signal.SIGKILL
    assert not group.exists()
