"""Streams that fail: a note never costs the result, and a result that is lost is an error."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from incoder.cli.console import OutputError, notes, print_error, print_note, result_console, write_result

RunCli = Callable[..., Any]

FULL = Path("/dev/full")
INCODER = f"{sys.executable} -m incoder"
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Redirect `stdout` or `stderr` to a full disk."""
    opened: list[io.TextIOWrapper] = []

    def fill_up(name: str) -> None:
        opened.append(FULL.open("w"))
        monkeypatch.setattr(sys, name, opened[-1])

    yield fill_up
    for stream in opened:
        stream.close()  # raises if something that cannot be written is left


def test_notes_and_errors_that_cannot_be_written_are_dropped(full: Callable[[str], None]) -> None:
    full("stderr")
    print_note("a note")
    print_error("an error" * 10_000)
    notes.print("both")


def test_a_result_that_cannot_be_written_is_an_error(full: Callable[[str], None]) -> None:
    full("stdout")
    with pytest.raises(OutputError, match="cannot be written to standard output: No space left on device"):
        write_result("x" * 100_000)


@pytest.mark.parametrize("length", [1, 100_000])
def test_so_is_a_table(length: int, full: Callable[[str], None]) -> None:
    full("stdout")
    with pytest.raises(OutputError, match="cannot be written to standard output: No space left on device"):
        result_console().print("x" * length)


def test_a_command_whose_notes_cannot_be_written_gives_its_result(
    full: Callable[[str], None], run_cli: RunCli, tiny_checkpoint: Path
) -> None:
    arguments = ("-", "--model", tiny_checkpoint, "--max-new-tokens", "2", "-n", "2")
    expected = run_cli("fill", *arguments, stdin=b"x = <FILL>\n")
    assert "not finished after 2 tokens" in expected.stderr
    full("stderr")
    outcome = run_cli("fill", *arguments, stdin=b"x = <FILL>\n")
    assert (outcome.status, outcome.stdout) == (0, expected.stdout)


@pytest.mark.parametrize(
    ("command", "status", "output"),
    [
        ("--help >/dev/full", 1, "error: standard output: No space left on device\n"),
        ("--help >&-", 1, "error: standard output: Bad file descriptor\n"),
        ("fill no.py >/dev/full 2>/dev/full", 1, ""),
        ("models >/dev/full", 1, "error: the result cannot be written to standard output: No space left"),
        ("models >&-", 1, "error: the result cannot be written to standard output: Bad file descriptor\n"),
        ("fill - <&-", 1, "error: cannot read standard input: Bad file descriptor\n"),
        ("--version 2>&-", 0, "incoder "),
        ("fill no.py <&- >&- 2>&-", 1, ""),
    ],
)
def test_full_and_closed_streams_end_in_a_status_and_no_traceback(
    command: str, status: int, output: str
) -> None:
    done = subprocess.run(["/bin/sh", "-c", f"{INCODER} {command}"], capture_output=True, text=True)
    assert done.returncode == status
    shown = done.stdout + done.stderr
    assert shown.startswith(output)
    assert bool(shown) == bool(output)
    assert len(shown.splitlines()) <= 1


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    script, said = tmp_path / "script.py", tmp_path / "said"
    script.write_text(
        "from pathlib import Path\nfrom incoder.cli.streams import open_closed_streams\n"
        f"open_closed_streams()\nwith Path({str(said)!r}).open('w') as file:\n"
        "    file.write(str(file.fileno()))\n"
    )
    subprocess.run(["/bin/sh", "-c", f"{sys.executable} {script} <&- >&- 2>&-"], check=True)
    assert int(said.read_text()) > 2


def test_a_closed_pipe_ends_a_table_without_a_word() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "incoder", "tokenizer", "show", "x" * 50_000]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
