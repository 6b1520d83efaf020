"""`incoder train --status`: how a run is going, from its folder alone."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from incoder.errors import IncoderError
from incoder.training.status import newest_checkpoint, run_status

NOW = 2_000_000.0


@pytest.fixture
def run(tmp_path: Path, recipe_file: Path) -> Path:
    """The folder of a run of 12 steps, 5 of which are done: 256 tokens and 2 s each, the last 10 s ago."""
    shutil.copy(recipe_file, tmp_path / "recipe.toml")
    rows = [
        {"step": step, "loss": 6.0 - step, "tokens": 256 * (step + 1), "tokens_per_second": 128.0}
        for step in range(5)
    ]
    rows[2]["validation_loss"] = 4.5
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    os.utime(metrics, (NOW - 10, NOW - 10))
    (tmp_path / "checkpoints").mkdir()
    checkpoint = tmp_path / "checkpoints" / "step-00000003.pt"
    checkpoint.write_bytes(b"")
    os.utime(checkpoint, (NOW - 100, NOW - 100))
    return tmp_path


def heartbeat(run: Path, rank: int, **changes: Any) -> None:
    (run / "ranks").mkdir(exist_ok=True)
    values = {"rank": rank, "world_size": 2, "host": "elsewhere", "pid": 1, "step": 5, "stage": "computing"}
    (run / "ranks" / f"{rank}.json").write_text(json.dumps(values | {"time": NOW - 10} | changes))


def test_a_run_of_one_process_is_known_from_its_metrics(run: Path) -> None:
    status = run_status(run, now=NOW)
    assert (status.state, status.steps_done, status.num_steps) == ("running", 5, 12)
    assert (status.loss, status.validation_loss, status.tokens_per_second) == (2.0, 4.5, 128.0)
    assert status.seconds_left == pytest.approx(7 * 2.0)
    assert status.seconds_since_sign == pytest.approx(10.0)
    assert status.checkpoint_step == 3
    assert status.checkpoint_age == pytest.approx(100.0)


def test_a_run_without_a_sign_for_long_seems_dead(run: Path) -> None:
    assert run_status(run, now=NOW + 60).state == "waiting"
    assert run_status(run, now=NOW + 600).state == "silent"


def test_a_slow_process_of_another_machine_is_told_from_a_dead_one_by_the_age_of_its_sign(run: Path) -> None:
    heartbeat(run, 0)
    heartbeat(run, 1, stage="reading data")
    assert run_status(run, now=NOW).state == "running"
    slow = run_status(run, now=NOW + 60)
    assert (slow.state, slow.late) == ("waiting", 1)
    assert slow.problem == "the others wait for process 1 of 2 (elsewhere) (last: reading data)"
    assert run_status(run, now=NOW + 600).state == "silent"


def test_on_the_same_machine_the_process_itself_says_whether_it_is_slow_or_gone(run: Path) -> None:
    import socket

    alive = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        now = time.time()
        for rank in range(2):
            heartbeat(run, rank, host=socket.gethostname(), pid=alive.pid, time=now)
        assert run_status(run, now=now + 3600).state == "waiting"
    finally:
        alive.communicate()
    gone = run_status(run, now=now + 1)
    assert gone.state == "ended"
    assert gone.problem is not None
    assert "ended without a message in step 6 (last: computing)" in gone.problem


def test_the_last_words_of_a_failed_process_are_the_problem(run: Path) -> None:
    heartbeat(run, 0, host="elsewhere")
    words = {"rank": 1, "world_size": 2, "host": "b", "step": 5, "message": "the disk is full", "time": NOW}
    (run / "ranks" / "1.error.json").write_text(json.dumps(words))
    assert run_status(run, now=NOW).problem is None
    assert run_status(run, now=NOW + 600).problem == "process 1 of 2 (b): the disk is full"


@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_a_run_that_left_its_loop_in_order_is_finished_or_stopped(run: Path, state: str) -> None:
    for rank in range(2):
        heartbeat(run, rank, stage=state)
    status = run_status(run, now=NOW + 10_000)
    assert status.state == state
    assert status.seconds_left is None


def test_a_run_that_has_not_begun_its_first_step_has_no_values(run: Path) -> None:
    (run / "metrics.jsonl").unlink()
    shutil.rmtree(run / "checkpoints")
    status = run_status(run, now=NOW)
    assert (status.state, status.steps_done, status.loss, status.seconds_left) == ("running", 0, None, None)
    assert status.checkpoint_step is None


def test_unfinished_and_damaged_checkpoints_do_not_count(run: Path) -> None:
    folder = run / "checkpoints"
    (folder / "step-00000009.pt.damaged").write_bytes(b"")
    (folder / "step-00000008.partial").mkdir()
    (folder / "step-00000007").mkdir()  # without .metadata, which is written last
    assert (newest_checkpoint(run) or (0,))[0] == 3
    (folder / "step-00000007" / ".metadata").write_bytes(b"")
    assert (newest_checkpoint(run) or (0,))[0] == 7


def test_metrics_that_are_no_numbers_are_left_out(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "loss": NaN, "tokens": "many", "tokens_per_second": true}\n')
        file.write('{"step": 6}\n')
    status = run_status(run, now=NOW)
    assert (status.steps_done, status.loss) == (7, 2.0)


def test_a_folder_without_a_run_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="holds no training run"):
        run_status(tmp_path)
    with pytest.raises(IncoderError, match="holds no training run"):
        run_status(tmp_path / "none")
