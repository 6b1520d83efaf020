"""`--model x.gguf`, and `incoder models info` of such a file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunCli = Callable[..., Any]


@pytest.fixture
def file(make_gguf: Any, tmp_path: Path) -> Path:
    made: Path = make_gguf(tmp_path / "small.gguf", "qwen2.5-coder", "qwen2")
    return made


def test_a_file_fills_holes(run_cli: RunCli, file: Path) -> None:
    outcome = run_cli("fill", "-", "--model", file, "--max-new-tokens", "2", stdin=b"x = <FILL>\n")
    assert outcome.status == 0
    assert outcome.stdout.startswith(b"x = ")


def test_a_file_is_described(run_cli: RunCli, file: Path) -> None:
    about = run_cli("models", "info", file).stdout.decode()
    assert "architecture    qwen2\n" in about
    assert "format          qwen2.5-coder\n" in about
    assert json.loads(run_cli("models", "info", file, "--json").stdout)["context_length"] == 128


def test_a_damaged_file_is_an_error_in_one_line(run_cli: RunCli, file: Path) -> None:
    file.write_bytes(b"GGUF" + b"\xff" * 50)
    outcome = run_cli("fill", "-", "--model", file, stdin=b"x = <FILL>\n")
    assert outcome.status == 1
    assert "Traceback" not in outcome.stderr
    assert "small.gguf" in outcome.stderr.replace("\n", "")
