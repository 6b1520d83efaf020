"""`incoder eval loss` reads a folder of code, or the held-out documents of a corpus."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from incoder.cli.eval import app
from incoder.errors import IncoderError


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["loss", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three files in two languages, and a model that gives every character a log-probability of -1."""

    def score(text: str, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(token_logprobs=[-1.0] * len(text))

    monkeypatch.setattr("incoder.load", lambda *_, **__: SimpleNamespace(score=score))
    monkeypatch.setattr("incoder.cli.options.fetch", lambda *_: None)
    root = tmp_path / "code"
    root.mkdir()
    (root / "a.py").write_text("x = 1\n")
    (root / "b.py").write_text("y = 2\n")
    (root / "c.go").write_text("package main\n")
    return root


def test_the_loss_is_shown_for_all_and_by_language(folder: Path) -> None:
    result = invoke("--data", folder)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines[1:4]] == ["all", "go", "python"]
    assert lines[1][1:3] == ["1.0000", "1.4427"]
    assert lines[1][-2:] == ["3", "25"]
    assert "an interval needs at least 5" in result.stdout


def test_json_and_the_file_hold_the_same(folder: Path, tmp_path: Path) -> None:
    result = invoke("--data", folder, "--json", "--language", "python", "--output", tmp_path / "out")
    told = json.loads(result.stdout)
    assert (told["num_texts"], list(told["languages"])) == (2, ["python"])
    assert json.loads((tmp_path / "out/loss.json").read_text()) == told


def test_a_file_of_another_program_that_names_a_model_stays_as_it_is(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "loss.json").write_text('{"model": "theirs"}')
    result = invoke("--data", folder, "--output", tmp_path)
    assert "holds loss.json, which would be replaced" in str(result.exception)
    assert (tmp_path / "loss.json").read_text() == '{"model": "theirs"}'


def test_a_limit_takes_that_many_texts(folder: Path) -> None:
    assert json.loads(invoke("--data", folder, "--json", "--limit", "2").stdout)["num_texts"] == 2


def test_what_is_missing_is_said_before_a_model_is_loaded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incoder.load", lambda *_, **__: pytest.fail("loaded"))
    for arguments in (("--data", tmp_path / "none"), ("--data", folder, "--language", "rust")):
        assert isinstance(invoke(*arguments).exception, IncoderError)
