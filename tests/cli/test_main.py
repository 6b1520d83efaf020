"""What holds for every command: exit statuses, errors without tracebacks, a fast start."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import incoder

RunCli = Callable[..., Any]

INCODER = [sys.executable, "-m", "incoder"]


def test_importing_the_package_loads_no_torch() -> None:
    script = "import sys, incoder, incoder.cli.commands; print({'torch', 'tokenizers'} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "set()\n"


def test_help_names_the_commands(run_cli: RunCli) -> None:
    outcome = run_cli("--help")
    assert outcome.status == 0
    for command in ("fill", "complete", "models", "train", "corpus", "tokenizer", "objective", "eval"):
        assert f"\n  {command} " in outcome.stdout.decode()


@pytest.mark.parametrize(
    "command", ["fill", "complete", "models", "train", "corpus", "tokenizer", "objective", "eval"]
)
def test_every_command_explains_itself(command: str, run_cli: RunCli) -> None:
    outcome = run_cli(command, "--help")
    assert outcome.status == 0
    assert outcome.stdout.startswith(b"Usage: incoder " + command.encode())


def test_the_version_is_the_packages(run_cli: RunCli) -> None:
    assert run_cli("--version").stdout.decode() == f"incoder {incoder.__version__}\n"


def test_bad_usage_has_status_2(run_cli: RunCli) -> None:
    assert run_cli("no-such-command").status == 2
    assert run_cli("fill").status == 2
    assert run_cli().status == 2


def test_a_users_mistake_has_status_1_and_no_traceback(run_cli: RunCli) -> None:
    outcome = run_cli("fill", "no/such/file.py")
    assert outcome.status == 1
    assert outcome.stdout == b""
    assert outcome.stderr == "error: there is no file no/such/file.py; give a path, or - for standard input\n"


@pytest.mark.parametrize("command", ["config", "fill a.py"])
def test_a_current_folder_that_is_gone_is_an_error_without_a_traceback(command: str, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"import os, sys; os.rmdir({str(gone)!r}); sys.argv[1:] = {command.split()!r}"
    script += "; from incoder.cli.main import main; main()"
    outcome = subprocess.run(
        [sys.executable, "-c", script], cwd=gone, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("error: the current folder is gone; change into another one")
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("command", [("eval", "loss"), ("eval", "humaneval")])
def test_commands_without_candidates_promise_none_as_json(command: tuple[str, ...], run_cli: RunCli) -> None:
    assert "candidates." not in run_cli(*command, "--help").stdout.decode().partition("--json")[2]


def test_an_error_with_brackets_is_printed_as_it_is(run_cli: RunCli) -> None:
    assert "there is no file [red]x[/red].py" in run_cli("fill", "[red]x[/red].py").stderr


def test_ctrl_c_is_quiet_and_has_status_130(tiny_checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "holes.py"
    file.write_text("x = <FILL>\n" * 200)
    command = [
        *INCODER,
        "fill",
        str(file),
        "--model",
        str(tiny_checkpoint),
        "--max-new-tokens",
        "120",
        "--in-place",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not _has_loaded_torch(process.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, "", "")
    assert file.read_text() == "x = <FILL>\n" * 200
    assert list(tmp_path.iterdir()) == [file]


def _has_loaded_torch(pid: int) -> bool:
    maps = Path(f"/proc/{pid}/maps")
    if not maps.exists():  # macOS: it is loading for about a second
        time.sleep(1)
        return True
    return "libtorch_cpu" in maps.read_text()


def test_a_reader_that_closes_the_pipe_gets_no_complaints(tiny_checkpoint: Path) -> None:
    command = [*INCODER, "fill", "-", "--model", str(tiny_checkpoint), "--max-new-tokens", "1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(b"x = <FILL>\n" + b"y = 1\n" * 50_000)
        process.stdin.close()
        assert process.stderr.read().decode() in (
            "",
            "hole 1: not finished after 1 tokens; allow more with --max-new-tokens, or end it with --stop\n",
        )
        assert process.wait(timeout=60) == 1
