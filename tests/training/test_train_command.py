"""`incoder train` beside training itself: estimates, status, and several processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from incoder.cli.commands import command_line

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
PAPER = str(RECIPES / "paper" / "6.7b.toml")


def incoder(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        command_line()(["train", *arguments], prog_name="incoder")
    return int(ended.value.code or 0)


def test_an_estimate_needs_no_corpus_and_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert incoder(PAPER, "--estimate", "--gpus", "248", "--gpu", "A100", "--json") == 0
    estimated: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert estimated["num_machines"] == 31
    assert estimated["memory"]["fits"] is True
    assert sum(estimated["memory"]["parts"].values()) + 4 * 2**30 == estimated["memory"]["total"]
    assert estimated["days"] > 0
    assert estimated["traffic"]["is_hidden"] in (True, False)


def test_an_estimate_is_a_table_that_says_whether_it_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert incoder(PAPER, "--estimate", "--gpus", "8", "--gpu", "a100-40gb") == 0
    shown = capsys.readouterr()
    for part in (
        "weights",
        "optimizer",
        "activations",
        "DOES NOT FIT",
        "smallest cluster",
        "it fits with --set",
    ):
        assert part in shown.out
    assert "the paper's vocabulary of 50,518" in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--estimate",), "name a recipe"),
        ((PAPER,), "name the folder of the run with --output"),
        ((PAPER, "--output", "run", "--processes", "0"), "greater than or equal to 1"),
        ((PAPER, "--estimate", "--gpus", "0"), "greater than or equal to 1"),
    ],
)
def test_what_is_missing_or_out_of_range_is_named(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert incoder(*arguments) == 2
    assert message in capsys.readouterr().err


def test_the_status_of_a_run_is_lines_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.toml").write_text('tokens = "a"\ntokenizer = "b"\n[training]\nsteps = 8\n')
    row = {"step": 3, "loss": 4.25, "tokens": 4096, "tokens_per_second": 1000.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "ranks").mkdir()
    for rank, stage in enumerate(("computing", "reading data")):
        values = {"rank": rank, "world_size": 2, "host": "node7", "pid": 1, "step": 4, "stage": stage}
        (tmp_path / "ranks" / f"{rank}.json").write_text(json.dumps(values | {"time": time.time()}))
    assert incoder("--status", str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"the run in {tmp_path} is running"
    assert lines[1] == "step 4 of 8 (50%), loss 4.250, 1,000 tokens/s"
    assert lines[2] == "no checkpoint yet"
    assert lines[-1] == "  process 1 of 2 (node7): step 4, reading data"
    assert incoder("--status", str(tmp_path), "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["state"], status["processes"][1]["host"]) == ("running", "node7")


@pytest.fixture
def run_command(tmp_path: Path, recipe_file: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "incoder", "train", str(recipe_file), "--output", str(tmp_path / "run")),
        *("--device", "cpu", "--processes", "2", "--set", "training.precision=fp32"),
    ]


def wait_for_step(run: Path, step: int, process: "subprocess.Popen[str]") -> dict[int, int]:
    """Wait until all processes have done a step; return their process ids by rank."""
    from incoder.training.watch import read_heartbeats

    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        beats = read_heartbeats(run)
        if len(beats) == 2 and min(beat.step for beat in beats) >= step:
            return {beat.rank: beat.pid for beat in beats}
        time.sleep(0.05)
    raise AssertionError(process.communicate(timeout=10))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_process_is_named_and_the_run_goes_on_to_the_same_end(
    tmp_path: Path, run_command: list[str]
) -> None:
    from incoder.training.metrics import read_metrics

    run = tmp_path / "run"
    many = ["--set", "training.steps=40"]
    process = subprocess.Popen([*run_command, *many], stderr=subprocess.PIPE, text=True)
    os.kill(wait_for_step(run, 8, process)[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    (said,) = [line for line in errors.splitlines() if "signal 9" in line]
    assert "process 1 of 2" in said
    assert "the run goes on from step " in said
    assert "Traceback" not in errors
    rows = read_metrics(run / "metrics.jsonl")
    assert [row["step"] for row in rows] == [*range(40)]
    whole = tmp_path / "whole"
    arguments = [*run_command, *many]
    arguments[arguments.index("--output") + 1] = str(whole)
    subprocess.run(arguments, check=True, capture_output=True, timeout=400)
    assert [row["loss"] for row in rows] == pytest.approx(
        [row["loss"] for row in read_metrics(whole / "metrics.jsonl")], rel=1e-6
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ctrl_c_of_several_processes_leaves_one_checkpoint_and_status_130(
    tmp_path: Path, run_command: list[str]
) -> None:
    run = tmp_path / "run"
    many = ["--set", "training.steps=100000", "--set", "training.checkpoint_every=100000"]
    process = subprocess.Popen([*run_command, *many], stderr=subprocess.PIPE, text=True)
    wait_for_step(run, 1, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 130
    assert len(list((run / "checkpoints").iterdir())) == 1
    assert errors.count("--resume") == 1
    again = subprocess.run(run_command, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 1
    assert "already holds a run" in again.stderr
