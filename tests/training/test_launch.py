"""The launcher of several processes, with a stub in place of training."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from incoder.errors import IncoderError
from incoder.training.launch import launch

TRAINING = "incoder.training.launch"
STUB = Path(__file__).with_name("launched.py")


def command(output: Path, behaviour: str) -> list[str]:
    return [sys.executable, str(STUB), str(output), behaviour]


def run(output: Path, behaviour: str, *, processes: int = 2, restarts: int = 3) -> tuple[int, list[str]]:
    notes: list[str] = []
    status = launch(
        command(output, behaviour),
        output,
        num_processes=processes,
        max_restarts=restarts,
        names=lambda rank: f"process {rank} of {processes} (here)",
        on_note=notes.append,
    )
    return status, notes


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less of it than for processes that train."""
    for name, seconds in {"_NOTICE_SECONDS": 0.5, "_END_SECONDS": 1.0, "_PAUSE_SECONDS": 0.0}.items():
        monkeypatch.setattr(f"{TRAINING}.{name}", seconds)


def starts(output: Path) -> list[str]:
    return sorted(path.name.removeprefix("started-") for path in output.glob("started-*"))


def test_all_processes_run_and_the_first_alone_speaks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "speak", processes=3) == (0, [])
    assert starts(tmp_path) == ["0-0", "1-0", "2-0"]
    assert len({path.read_text() for path in tmp_path.glob("started-*")}) == 1, "one port for all"
    out, err = capfd.readouterr()
    assert (out, err) == ("rank 0 on stdout\n", "rank 0 on stderr\n")


def test_after_one_is_killed_all_start_again_with_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, notes = run(tmp_path, "killed once")
    assert status == 0
    assert starts(tmp_path) == ["0-0", "0-1", "1-0", "1-1"]
    assert notes == [
        "process 1 of 2 (here) was killed (signal 9: often because memory was short); "
        "the run goes on from step 400"
    ]
    assert capfd.readouterr() == ("", "")


def test_one_that_is_killed_again_and_again_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match=r"process 1 of 2 .*signal 9.* started 2 times.* from step 400"):
        run(tmp_path, "killed always", restarts=1)
    assert len(starts(tmp_path)) == 4


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("refuse", r"^process 1 of 2 \(here\): the disk is full$"),
        ("all refuse", r"^the recipe is wrong$"),
        ("crash", r"^process 1 of 2 \(here\): KeyError: 'weights'; its output is in (\S+)/1\.log$"),
        ("status", r"^process 1 of 2 \(here\) ended with status 7; its output is in (\S+)/1\.log$"),
    ],
)
def test_an_error_is_said_once_and_nothing_is_started_again(
    tmp_path: Path, behaviour: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(IncoderError, match=message) as raised:
        run(tmp_path, behaviour)
    assert starts(tmp_path) == ["0-0", "1-0"]
    assert capfd.readouterr() == ("", "")
    if behaviour == "crash":
        folder = re.findall(r"\S+(?=/1\.log)", str(raised.value))[0]
        assert "where it happened" in Path(folder, "1.log").read_text()


def test_processes_that_only_lost_each_other_start_again(tmp_path: Path) -> None:
    status, notes = run(tmp_path, "lose")
    assert status == 0
    assert notes == ["process 0 of 2 lost another process; the run goes on from the beginning"]


def test_a_stop_of_one_process_stops_all_with_status_130(tmp_path: Path) -> None:
    assert run(tmp_path, "one is stopped") == (130, [])
    assert starts(tmp_path) == ["0-0", "1-0"]


def test_a_process_that_waits_for_a_killed_one_is_ended(tmp_path: Path) -> None:
    status, notes = run(tmp_path, "stubborn")
    assert status == 0
    assert notes == [
        "process 1 of 2 (here) was killed (signal 11: a fault in compiled code); "
        "the run goes on from the beginning"
    ]


@pytest.mark.parametrize("num_processes", [0, -1])
def test_no_processes_are_refused(tmp_path: Path, num_processes: int) -> None:
    with pytest.raises(IncoderError, match=f"must be at least 1, got {num_processes}"):
        launch(["true"], tmp_path, num_processes=num_processes)


@pytest.fixture
def launched(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A launcher in a process of its own, once its processes have started."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom incoder.training.launch import launch\n"
        "sys.exit(launch(sys.argv[2:], Path(sys.argv[1]), num_processes=2, on_note=print))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), *command(tmp_path, request.param)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    while len(starts(tmp_path)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("launched", ["train"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_passed_on_once_and_every_process_leaves_in_order(
    tmp_path: Path, launched: "subprocess.Popen[str]", number: signal.Signals
) -> None:
    launched.send_signal(number)
    output, _ = launched.communicate(timeout=60)
    assert (launched.returncode, output) == (130, "")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000005.pt"]


@pytest.mark.parametrize("launched", ["hang"], indirect=True)
def test_a_second_ctrl_c_ends_processes_that_hang(launched: "subprocess.Popen[str]") -> None:
    launched.send_signal(signal.SIGINT)
    time.sleep(1)
    assert launched.poll() is None
    started = time.monotonic()
    os.kill(launched.pid, signal.SIGINT)
    output, _ = launched.communicate(timeout=60)
    assert (launched.returncode, output) == (130, "")
    assert time.monotonic() - started < 15
