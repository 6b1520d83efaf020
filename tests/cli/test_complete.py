import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

RunCli = Callable[..., Any]


def test_the_file_is_gone_on_with(run_cli: RunCli, tiny_checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "hello.py"
    file.write_bytes(b"# caf\xe9\r\ndef hello(")
    outcome = run_cli("complete", file, "--model", tiny_checkpoint, "--max-new-tokens", "4")
    assert outcome.status == 0
    assert outcome.stdout.startswith(b"# caf\xe9\r\ndef hello(")
    assert len(outcome.stdout) > len(file.read_bytes())


def test_json_has_the_completion_by_itself(run_cli: RunCli, tiny_checkpoint: Path) -> None:
    arguments = ("complete", "-", "--model", tiny_checkpoint, "--max-new-tokens", "4", "--json")
    answer = json.loads(run_cli(*arguments, stdin=b"def hello(").stdout)
    assert answer["text"] == "def hello(" + answer["infills"][0]
    assert answer["candidates"][0]["finish_reasons"] == ["length"]


def test_an_empty_text_is_a_beginning_too(run_cli: RunCli, tiny_checkpoint: Path) -> None:
    outcome = run_cli("complete", "-", "--model", tiny_checkpoint, "--max-new-tokens", "4", "--ext", "py")
    assert outcome.status == 0
    assert outcome.stdout


def test_a_hole_marker_is_text(run_cli: RunCli, tiny_checkpoint: Path) -> None:
    outcome = run_cli(
        "complete", "-", "--model", tiny_checkpoint, "--max-new-tokens", "1", stdin=b"x = <FILL>"
    )
    assert outcome.stdout.startswith(b"x = <FILL>")


def test_bad_settings_are_bad_usage(run_cli: RunCli) -> None:
    assert run_cli("complete", "-", "--top-k", "0").status == 2
