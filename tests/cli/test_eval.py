"""`incoder eval` judges by one command per benchmark and says what is missing before it loads a model."""

import json
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import incoder.cli.eval as eval_command
from incoder.errors import IncoderError
from incoder.evaluation import execution
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.evaluation.run import Setup

BENCHMARK = "humaneval-single-line"
TASK_ID = "SingleLineInfilling/HumanEval/0/L0"
GOLD = "    return x + x\n"
SETUP = Setup("causal-masking", "float32", "cpu")


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(eval_command.app, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    task = {
        "task_id": TASK_ID,
        "entry_point": "double",
        "prompt": "def double(x):\n",
        "suffix": "",
        "canonical_solution": GOLD,
        "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    }
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(task) + "\n")
    return path


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_a_command_that_explains_itself(name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert f"incoder eval {name} --data" in " ".join(result.stdout.split())


@pytest.mark.parametrize("name", [BENCHMARK, "humaneval-multi-line"])
def test_the_ceiling_of_the_harness_is_one_json_object(shared: Path, tmp_path: Path, name: str) -> None:
    data = shared / "bench/human-eval-infilling"
    result = invoke(name, "--data", data, "--method", "gold", "--limit", "5", "--output", tmp_path)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["metrics"]["pass_rate"] == 1
    assert f"{name}, gold: pass rate 100.0%" in result.stderr
    assert len((tmp_path / "samples.jsonl").read_text().splitlines()) == 5


def test_the_model_is_asked_with_the_decoding_of_the_options(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def infill(parts: list[str], path: str, **decoding: Any) -> SimpleNamespace:
        assert path.endswith(".py")
        asked.update(decoding, num_parts=len(parts))
        return SimpleNamespace(infills=["    return 2 * x\n"])

    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    monkeypatch.setattr(eval_command, "_load", lambda *_: (SimpleNamespace(infill=infill), SETUP))
    options = ["--temperature", "0.5", "--seed", "3", "--model", str(checkpoint)]
    result = invoke(BENCHMARK, "--data", data, "--output", tmp_path / "run", *options)
    assert result.exit_code == 0
    assert asked == {
        "num_parts": 2,
        "temperature": 0.5,
        "top_p": 0.95,
        "seed": 3,
        "max_new_tokens": 64,
        "heal_tokens": True,
        "edge_rules": (),
        "num_lead_lines": None,
        "num_candidates": 1,
        "rank_by": "whole",
        "stop": (),
    }
    results = json.loads(result.stdout)
    assert (results["infilling_format"], results["dtype"], results["device"]) == astuple(SETUP)
    assert results["model"]["name"] == str(checkpoint)
    assert len(results["model"]["fingerprint"]) == 64
    assert (results["metrics"]["pass_rate"], results["ceiling"]) == (1, 1)


def test_reranking_draws_ten_candidates_at_the_papers_temperature(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def complete(_: str, **decoding: Any) -> SimpleNamespace:
        asked.update(decoding)
        return SimpleNamespace(candidates=[SimpleNamespace(infills=[GOLD])])

    monkeypatch.setattr(eval_command, "_load", lambda *_: (SimpleNamespace(complete=complete), SETUP))
    monkeypatch.setattr(eval_command, "_identity", lambda *_: {"name": "x"})
    monkeypatch.setattr("incoder.cli.options.fetch", lambda *_: None)
    result = invoke(BENCHMARK, "--data", data, "--output", tmp_path / "run", "--method", "rerank")
    assert result.exit_code == 0
    assert (asked["num_candidates"], asked["temperature"]) == (10, 0.8)


def test_completions_from_elsewhere_go_before_the_same_judge(tmp_path: Path, data: Path) -> None:
    samples = tmp_path / "theirs.jsonl"
    completions = [GOLD, "    return 3\n"]
    samples.write_text(
        "".join(json.dumps({"task_id": TASK_ID, "completion": text}) + "\n" for text in completions)
    )
    result = invoke(BENCHMARK, "--data", data, "--samples", samples, "--output", tmp_path / "run")
    assert result.exit_code == 0
    results = json.loads(result.stdout)
    assert (results["method"], results["model"], results["num_samples"]) == ("samples", None, 2)
    assert results["metrics"]["pass@1"] == 0.5
    samples.write_text(json.dumps({"task_id": "x", "completion": ""}) + "\n")
    result = invoke(BENCHMARK, "--data", data, "--samples", samples, "--output", tmp_path / "run")
    assert isinstance(result.exception, IncoderError)


def test_missing_data_is_said_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eval_command, "_load", lambda name, *_: pytest.fail(f"loaded {name}"))
    result = invoke(BENCHMARK, "--data", tmp_path / "no.jsonl.gz", "--output", tmp_path / "run")
    assert isinstance(result.exception, IncoderError)
    assert "data is not fetched" in str(result.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--temperature", "-1"),
        ("--top-p", "2"),
        ("--timeout", "0"),
        ("--timeout", "inf"),
        ("--timeout", "nan"),
        ("--num-workers", "0"),
        ("--limit", "0"),
    ],
)
def test_a_value_outside_of_its_range_is_bad_usage_before_a_model_is_loaded(
    option: tuple[str, str], tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eval_command, "_load", lambda *_: pytest.fail("loaded"))
    monkeypatch.setattr("incoder.cli.options.fetch", lambda *_: pytest.fail("fetched"))
    assert invoke(BENCHMARK, "--data", data, "--output", tmp_path / "run", *option).exit_code == 2
    assert not (tmp_path / "run").exists()


def test_equal_samples_are_told_of(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SimpleNamespace(infill=lambda *_, **__: SimpleNamespace(infills=[GOLD]))
    monkeypatch.setattr(eval_command, "_load", lambda *_: (model, SETUP))
    monkeypatch.setattr(eval_command, "_identity", lambda *_: {"name": "x"})
    monkeypatch.setattr("incoder.cli.options.fetch", lambda *_: None)
    run = (BENCHMARK, "--data", data, "--no-ceiling")
    greedy = invoke(*run, "--output", tmp_path / "greedy", "-n", "2")
    assert "all samples of a task are alike" in greedy.stderr
    drawn = invoke(*run, "--output", tmp_path / "drawn", "-n", "2", "--temperature", "0.5")
    assert drawn.exit_code == 0
    assert "alike" not in drawn.stderr


def test_walls_are_asked_for_where_something_runs(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "sandbox_layers", lambda: ())
    choice = {"task_id": "c", "project": "p", "prefix": "x = ", "suffix": "(xs)\n", "answer": "min"}
    cloze = tmp_path / "cloze.jsonl"
    cloze.write_text(json.dumps(choice) + "\n")
    gold = ("--method", "gold", "--output")
    assert invoke("cloze", "--data", cloze, *gold, tmp_path / "cloze").exit_code == 0
    assert isinstance(invoke(BENCHMARK, "--data", data, *gold, tmp_path / "run").exception, IncoderError)


def test_no_output_and_an_unknown_method_are_bad_usage(tmp_path: Path, data: Path) -> None:
    assert invoke(BENCHMARK, "--data", data).exit_code == 2
    result = invoke(BENCHMARK, "--data", data, "--output", tmp_path, "--method", "magic")
    assert result.exit_code == 2
    assert "left-to-right" in result.stderr
