"""What the files in `ranks/` say about processes: alive, gone, late."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from incoder.training.watch import (
    Heartbeat,
    Watchdog,
    is_running,
    laggard,
    read_heartbeats,
    read_last_words,
)

HERE = socket.gethostname()


def beat(rank: int, step: int, stage: str = "computing", *, world_size: int = 3, **changes: Any) -> Heartbeat:
    values: dict[str, Any] = {"host": "elsewhere", "pid": 1, "time": 1000.0} | changes
    return Heartbeat(rank, world_size, step=step, stage=stage, **values)


def write(output: Path, *beats: Heartbeat) -> None:
    (output / "ranks").mkdir(exist_ok=True)
    for one in beats:
        values = {name: getattr(one, name) for name in Heartbeat.__slots__}
        (output / "ranks" / f"{one.rank}.json").write_text(json.dumps(values))


def test_heartbeats_are_read_by_rank(tmp_path: Path) -> None:
    beats = [beat(rank, step=7, world_size=12) for rank in range(12)]
    write(tmp_path, *beats)
    assert read_heartbeats(tmp_path) == beats
    assert read_heartbeats(tmp_path / "none") == []


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"rank": 0}', '{"rank": "x"}', "[" * 100_000])
def test_a_damaged_heartbeat_is_as_none(tmp_path: Path, content: str) -> None:
    write(tmp_path, beat(1, step=7))
    (tmp_path / "ranks" / "0.json").write_text(content)
    (tmp_path / "ranks" / "2.error.json").write_text(content)
    assert [one.rank for one in read_heartbeats(tmp_path)] == [1]
    assert read_last_words(tmp_path) == []


def test_heartbeats_of_an_earlier_start_with_more_processes_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, *(beat(rank, 5, world_size=4) for rank in range(4)))
    write(tmp_path, *(beat(rank, 2, world_size=2, time=2000.0) for rank in range(2)))
    assert [one.step for one in read_heartbeats(tmp_path)] == [2, 2]


def test_last_words_are_in_the_order_of_their_time(tmp_path: Path) -> None:
    (tmp_path / "ranks").mkdir()
    for rank, moment in ((0, 20.0), (1, 10.0)):
        words = {
            "rank": rank,
            "world_size": 2,
            "host": "a",
            "step": 3,
            "message": f"of {rank}",
            "time": moment,
        }
        (tmp_path / "ranks" / f"{rank}.error.json").write_text(json.dumps(words))
    assert [words["message"] for words in read_last_words(tmp_path)] == ["of 1", "of 0"]


@pytest.mark.parametrize(
    ("beats", "late"),
    [
        ([beat(0, 8), beat(1, 7, "saving"), beat(2, 8)], 1),
        ([beat(0, 8), beat(1, 8), beat(2, 8, "reading data")], 2),
        ([beat(0, 8), beat(1, 8), beat(2, 8)], None),  # in a collective: nobody is less far
        ([beat(0, 9, "finished"), beat(1, 9, "finished"), beat(2, 9, "finished")], None),
        ([beat(0, 0, "computing")], None),
        ([], None),
        ([beat(0, 8, "some later stage"), beat(1, 8, "computing")], 1),
    ],
)
def test_the_process_that_others_wait_for_is_the_one_that_is_least_far(
    beats: list[Heartbeat], late: int | None
) -> None:
    found = laggard(beats)
    assert (found and found.rank) == late


def test_a_process_of_this_machine_that_is_gone_is_the_one_that_others_wait_for() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    beats = [beat(0, 8), beat(1, 8, host=HERE, pid=gone.pid, time=time.time()), beat(2, 7)]
    assert laggard(beats) is beats[1]


def test_processes_are_running_until_they_end_and_a_zombie_is_not() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_running(process.pid)
    assert is_running(process.pid, since=time.time())
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and not asked how: a zombie
    assert not is_running(process.pid) or not Path("/proc/self/stat").exists()
    process.wait()
    process.stdin.close()  # type: ignore[union-attr]
    assert not is_running(process.pid)
    assert not is_running(0)
    assert not is_running(-1)
    assert is_running(10**30), "a number that is no process id is of another system: nothing is known"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux says when a process began")
def test_another_process_that_has_the_number_of_one_that_ended_is_not_it() -> None:
    assert not is_running(os.getpid(), since=time.time() - 10**7)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_step_that_takes_unusually_long_is_reported_once_with_the_late_process(
    tmp_path: Path, clock: Clock
) -> None:
    said: list[str] = []
    watchdog = Watchdog(tmp_path, said.append, clock=clock)
    for step in range(1, 6):
        write(tmp_path, *(beat(rank, step) for rank in range(3)))
        watchdog.poll()
        clock.now += 20.0
    write(tmp_path, beat(0, 6), beat(1, 6), beat(2, 5, "reading data"))
    watchdog.poll()
    clock.now += 199.0  # ten usual steps are 200 s
    watchdog.poll()
    assert said == []
    clock.now += 2.0
    watchdog.poll()
    watchdog.poll()
    assert said == [
        "process 2 of 3 (elsewhere) has not reached step 7 for 201 s (last: reading data); the others wait"
    ]
    write(tmp_path, *(beat(rank, 7) for rank in range(3)))
    watchdog.poll()
    clock.now += 500.0
    watchdog.poll()
    assert said[1:] == ["no process has finished step 8 for 500 s (last: computing)"]


def test_short_steps_may_take_a_minute(tmp_path: Path, clock: Clock) -> None:
    said: list[str] = []
    watchdog = Watchdog(tmp_path, said.append, clock=clock)
    write(tmp_path, beat(0, 3), beat(1, 2, "saving"))
    watchdog.poll()
    clock.now += 59.0
    watchdog.poll()
    assert not said
    clock.now += 2.0
    watchdog.poll()
    assert len(said) == 1


def test_of_the_processes_that_do_not_lag_the_first_speaks(tmp_path: Path, clock: Clock) -> None:
    said: list[int] = []
    watchdogs = [
        Watchdog(tmp_path, lambda _, rank=rank: said.append(rank), rank=rank, clock=clock)  # type: ignore[misc]
        for rank in range(3)
    ]
    write(tmp_path, beat(0, 4, "reading data"), beat(1, 4), beat(2, 4))
    for _ in range(2):
        for watchdog in watchdogs:
            watchdog.poll()
        clock.now += 100.0
    assert said == [1]


def test_nothing_is_said_while_there_are_no_heartbeats(tmp_path: Path, clock: Clock) -> None:
    said: list[str] = []
    watchdog = Watchdog(tmp_path, said.append, clock=clock)
    clock.now += 1000.0
    watchdog.poll()
    assert said == []


def test_the_thread_ends_with_the_block(tmp_path: Path) -> None:
    started = time.monotonic()
    with Watchdog(tmp_path, lambda _: None):
        pass
    assert time.monotonic() - started < 0.9
