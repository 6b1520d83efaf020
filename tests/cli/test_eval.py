"""`incoder eval` reports a run as one JSON object and says what is missing before it loads a model."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import incoder.cli.eval as eval_command
from incoder.errors import IncoderError

BENCHMARK = "humaneval-single-line"


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(eval_command.app, [str(argument) for argument in arguments])


def data_in(folder: Path) -> Path:
    task = {
        "task_id": "SingleLineInfilling/HumanEval/0/L0",
        "entry_point": "double",
        "prompt": "def double(x):\n",
        "suffix": "",
        "canonical_solution": "    return x + x\n",
        "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    }
    path = folder / "data.jsonl"
    path.write_text(json.dumps(task) + "\n")
    return path


def test_the_ceiling_of_the_harness_is_one_json_object(shared: Path, tmp_path: Path) -> None:
    data = shared / "bench/human-eval-infilling"
    for name in (BENCHMARK, "humaneval-multi-line"):
        result = invoke(name, "--data", data, "--method", "gold", "--limit", "5", "--output", tmp_path / name)
        assert result.exit_code == 0
        assert json.loads(result.stdout)["metrics"]["pass_rate"] == 1
        assert f"{name}, gold: pass rate 100.0%" in result.stderr
        assert len((tmp_path / name / "samples.jsonl").read_text().splitlines()) == 5


def test_the_model_is_asked_with_the_decoding_of_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def infill(parts: list[str], path: str, **decoding: Any) -> SimpleNamespace:
        assert path.endswith(".py")
        asked.update(decoding, num_parts=len(parts))
        return SimpleNamespace(infills=["    return 2 * x\n"])

    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    monkeypatch.setattr(eval_command, "_load", lambda name, *_: SimpleNamespace(infill=infill, name=name))
    options = ["--temperature", "0.5", "--seed", "3", "--model", str(checkpoint)]
    result = invoke(BENCHMARK, "--data", data_in(tmp_path), "--output", tmp_path / "run", *options)
    assert result.exit_code == 0
    assert asked == {
        "num_parts": 2,
        "temperature": 0.5,
        "top_p": 0.95,
        "seed": 3,
        "max_new_tokens": 64,
        "heal_tokens": True,
        "edge_rules": (),
    }
    model = json.loads(result.stdout)["model"]
    assert model["name"] == str(checkpoint)
    assert len(model["fingerprint"]) == 64


def test_missing_data_is_said_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eval_command, "_load", lambda name, *_: pytest.fail(f"loaded {name}"))
    result = invoke(BENCHMARK, "--data", tmp_path / "no.jsonl.gz", "--output", tmp_path / "run")
    assert isinstance(result.exception, IncoderError)
    assert "data is not fetched" in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_no_data_and_an_unknown_method_are_bad_usage(tmp_path: Path) -> None:
    assert invoke(BENCHMARK, "--output", tmp_path).exit_code == 2
    data = data_in(tmp_path)
    assert invoke(BENCHMARK, "--data", data, "--output", tmp_path, "--method", "magic").exit_code == 2
