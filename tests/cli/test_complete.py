import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from incoder.inference.infill_model import InfillModel
from incoder.results import Candidate, InfillResult

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


def test_the_last_line_gets_an_end_if_it_has_none(run_cli: RunCli, tiny_checkpoint: Path) -> None:
    for text in (b"def hello(", b"a = 1\r\nb = 2\r\ndef hello("):
        arguments = ("complete", "-", "--model", tiny_checkpoint, "--max-new-tokens", "1", "--stop", "\\n")
        whole = json.loads(run_cli(*arguments, "--json", stdin=text).stdout)["text"]
        assert not whole.endswith("\n")
        line_end = "\r\n" if b"\r\n" in text else "\n"
        assert run_cli(*arguments, stdin=text).stdout.decode() == whole + line_end


def test_a_last_line_that_has_an_end_gets_no_second_one(
    run_cli: RunCli, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = InfillResult((Candidate("x = 1\n", ("1\n",), -1.0, -1.0, ("end",)),))
    monkeypatch.setattr(InfillModel, "run", lambda *_, **__: done)
    assert run_cli("complete", "-", "--model", tiny_checkpoint, stdin=b"x = ").stdout == b"x = 1\n"


def test_a_streamed_completion_is_the_same_to_the_byte(run_cli: RunCli, tiny_checkpoint: Path) -> None:
    arguments = ("complete", "-", "--model", tiny_checkpoint, "--max-new-tokens", "9", "--ext", "py")
    plain = run_cli(*arguments, stdin=b"# caf\xe9\r\ndef f(")
    streamed = run_cli(*arguments, "--stream", stdin=b"# caf\xe9\r\ndef f(")
    assert (streamed.status, streamed.stdout) == (0, plain.stdout)
    refused = run_cli(*arguments, "--stream", "--json", stdin=b"x")
    assert refused.status == 2
    assert "--stream needs one candidate (-n 1), and excludes --json" in refused.stderr
