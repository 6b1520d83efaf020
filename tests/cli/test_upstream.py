"""Commands whose model runs on another server."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from incoder.cli.commands import app
from incoder.cli.settings import find_settings

NOWHERE = "http://127.0.0.1:9/v1"


def test_options_for_local_models_are_refused_with_a_url(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = <FILL>\n")
    found = CliRunner().invoke(app, ["fill", str(file), "--model", NOWHERE, "--device", "cpu"])
    assert found.exit_code == 2
    assert "for models on this machine" in found.output


def test_a_server_that_does_not_answer_is_an_error_of_one_line(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = <FILL>\n")
    found = CliRunner().invoke(app, ["fill", str(file), "--model", NOWHERE])
    assert "cannot connect" in str(found.exception)


def test_the_settings_of_an_upstream_come_from_the_environment(tmp_path: Path) -> None:
    environment = {
        "INCODER_UPSTREAM_MODEL": "qwen",
        "INCODER_UPSTREAM_TOKENIZER": "/t",
        "HOME": str(tmp_path),
    }
    found = {setting.name: setting.value for setting in find_settings(environment, tmp_path)}
    assert found == {"upstream_model": "qwen", "upstream_tokenizer": "/t"}


def test_the_doctor_prints_settings_and_fails_where_nothing_listens() -> None:
    found = CliRunner().invoke(app, ["doctor", "zed", "--url", "http://127.0.0.1:9", "--json"])
    assert found.exit_code == 1
    report = json.loads(found.stdout)
    assert report["problem"].startswith("nothing listens at http://127.0.0.1:9")
    assert [one["name"] for one in report["clients"]] == ["zed"]
    assert "http://127.0.0.1:9/v1/completions" in report["clients"][0]["settings"]
    text = CliRunner().invoke(app, ["doctor", "--url", "http://127.0.0.1:9"]).stdout
    assert text.startswith("PROBLEM: nothing listens at http://127.0.0.1:9; ")
    assert "llama.vim" in text


def test_an_unknown_client_is_refused_with_the_list() -> None:
    found = CliRunner().invoke(app, ["doctor", "emax"])
    assert found.exit_code == 2
    assert "minuet" in found.output


def test_serve_refuses_upstream_options_without_an_upstream() -> None:
    found = CliRunner().invoke(app, ["serve", "--upstream-model", "x", "--port", "0"])
    assert found.exit_code == 2
    assert "--upstream" in found.output


@pytest.mark.parametrize("command", ["fill", "complete", "docstring", "types", "rename", "fix", "edit"])
def test_every_command_with_a_model_says_that_it_may_be_a_url(command: str) -> None:
    found = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert "NAME|FOLDER|URL" in found.output
