"""`incoder eval` judges by one command per benchmark and says what is missing before it loads a model."""

import inspect
import json
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import incoder.cli.eval as eval_command
from incoder.cli import commands
from incoder.errors import IncoderError
from incoder.evaluation import execution
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.evaluation.run import Environment
from incoder.inference.decoding.stopping_rules.stopping import ALL_EDGE_RULES
from incoder.inference.infill_model import InfillModel

BENCHMARK = "humaneval-single-line"
TASK_ID = "SingleLineInfilling/HumanEval/0/L0"
GOLD = "    return x + x\n"
ENVIRONMENT = Environment("causal-masking", "float32", "cpu")


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
def test_the_ceiling_of_the_harness_is_told_and_with_json_one_object(
    shared: Path, tmp_path: Path, name: str
) -> None:
    data = shared / "bench/human-eval-infilling"
    result = invoke(name, "--data", data, "--method", "gold", "--limit", "5", "--output", tmp_path)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{name}, gold, 5 tasks\n  pass rate 100.0% of 5 tasks (95 % interval ")
    result = invoke(name, "--data", data, "--method", "gold", "--limit", "5", "--output", tmp_path, "--json")
    assert json.loads(result.stdout)["metrics"]["pass_rate"] == 1
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
    monkeypatch.setattr(eval_command, "_load", lambda *_: (SimpleNamespace(infill=infill), ENVIRONMENT))
    options = ["--temperature", "0.5", "--seed", "3", "--model", str(checkpoint), "--json"]
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
        "rank_by": "mean",
        "stop": (),
    }
    results = json.loads(result.stdout)
    assert (results["infilling_format"], results["dtype"], results["device"]) == astuple(ENVIRONMENT)
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

    monkeypatch.setattr(eval_command, "_load", lambda *_: (SimpleNamespace(complete=complete), ENVIRONMENT))
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
    result = invoke(BENCHMARK, "--data", data, "--samples", samples, "--output", tmp_path / "run", "--json")
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
    monkeypatch.setattr(eval_command, "_load", lambda *_: (model, ENVIRONMENT))
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


class Recorder:
    """A model that remembers how it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def infill(self, _parts: Any, **settings: Any) -> SimpleNamespace:
        self.asked = settings
        return SimpleNamespace(infills=[GOLD])

    def complete(self, _prompt: str, **settings: Any) -> SimpleNamespace:
        self.asked = settings
        return SimpleNamespace(candidates=[SimpleNamespace(infills=[GOLD])])


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    model = Recorder()
    monkeypatch.setattr(eval_command, "_load", lambda *_: (model, ENVIRONMENT))
    monkeypatch.setattr(eval_command, "_identity", lambda *_: {"name": "x"})
    monkeypatch.setattr("incoder.cli.options.fetch", lambda *_: None)
    return model


def test_defaults_are_what_fill_does_without_options(
    recorder: Recorder, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared with the call that `incoder fill` really makes, over all settings that infilling has."""
    settings = inspect.signature(InfillModel.infill).parameters
    filled: dict[str, Any] = {}

    def infill(_parts: Any, **asked: Any) -> None:
        filled.update(asked)
        raise IncoderError("asked enough")

    monkeypatch.setattr("incoder.load", lambda *_, **__: SimpleNamespace(infill=infill))
    holes = tmp_path / "holes.py"
    holes.write_text("x = <FILL>\n")
    CliRunner().invoke(commands.app, ["fill", str(holes)])
    result = invoke(BENCHMARK, "--data", data, "--output", tmp_path / "run", "--defaults")
    assert result.exit_code == 0
    apart = ("path", "other_files", "on_fill")
    asked = {name: one.default for name, one in settings.items()} | {"stop": (), "logit_bias": {}}
    for name in settings:
        if name not in (*apart, "self", "parts"):
            assert (asked | recorder.asked)[name] == (asked | filled)[name], name
    assert "incoder fill without options uses the same settings" in result.stderr


def test_both_ways_of_writing_are_told_with_a_result(recorder: Recorder, tmp_path: Path, data: Path) -> None:
    result = invoke(BENCHMARK, "--data", data, "--output", tmp_path / "run")
    assert "decoding: greedy, at most 64 tokens, token healing on, stopping rules none" in result.stderr
    assert "incoder fill without options (--defaults): temperature 0.2" in result.stderr
    assert recorder.asked["temperature"] == 0


@pytest.mark.parametrize("rule", ALL_EDGE_RULES)
def test_each_stopping_rule_can_be_switched_on_alone(
    rule: str, recorder: Recorder, tmp_path: Path, data: Path
) -> None:
    result = invoke(BENCHMARK, "--data", data, "--output", tmp_path / "run", "--edge-rule", rule)
    assert recorder.asked["edge_rules"] == (rule,)
    assert f"stopping rules {rule}" in result.stderr


def test_healing_and_ranking_can_be_switched(recorder: Recorder, tmp_path: Path, data: Path) -> None:
    run = (BENCHMARK, "--data", data, "--output")
    options = ("--no-heal", "--edges", "--num-candidates", "4", "--rank-by", "whole", "--temperature", "0.8")
    assert invoke(*run, tmp_path / "one", *options).exit_code == 0
    assert recorder.asked["heal_tokens"] is False
    assert recorder.asked["edge_rules"] == ALL_EDGE_RULES
    assert (recorder.asked["num_candidates"], recorder.asked["rank_by"]) == (4, "whole")
    assert invoke(*run, tmp_path / "two", "--method", "infill-rerank").exit_code == 0
    assert (recorder.asked["num_candidates"], recorder.asked["rank_by"]) == (10, "whole")


@pytest.mark.parametrize(
    "options",
    [
        ("--defaults", "--temperature", "0.5"),
        ("--defaults", "--edge-rule", ALL_EDGE_RULES[0]),
        ("--defaults", "--no-heal"),
        ("--defaults", "--method", "left-to-right"),
        ("--edge-rule", "magic"),
        ("--edges", "--edge-rule", ALL_EDGE_RULES[0]),
        ("--method", "rerank", "--rank-by", "whole"),
    ],
)
def test_settings_that_do_not_go_together_are_bad_usage(
    options: tuple[str, ...], tmp_path: Path, data: Path
) -> None:
    assert invoke(BENCHMARK, "--data", data, "--output", tmp_path / "run", *options).exit_code == 2
    assert not (tmp_path / "run").exists()


def safim_rows(*languages: str) -> list[dict[str, Any]]:
    marks = {"python": "# TODO: Your code here"}
    return [
        {
            "task_id": str(number),
            "lang": language,
            "prompt": f"print({marks.get(language, '/* TODO: Your code here */')}",
            "eval_prompt": "print({{completion}}",
            "ground_truth": "2)",
            "unit_tests": [{"input": "", "output": ["2"]}],
        }
        for number, language in enumerate(languages)
    ]


@pytest.fixture
def safim(tmp_path: Path) -> Path:
    path = tmp_path / "block_completion.jsonl"
    rows = safim_rows("cpp", "cpp", "java", "python", "python")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_that_are_not_executed_end_in_a_result_without_a_pass_rate(safim: Path, tmp_path: Path) -> None:
    run = ("safim", "--data", safim, "--method", "gold", "--output", tmp_path / "run")
    result = invoke(*run, "--language", "c++", "--limit", "1")
    assert result.exit_code == 0
    assert "pass rate is over 0 of 1 tasks: only Python is executed here" in result.stderr
    assert "pass rate: none of the tasks counts for it" in result.stdout
    assert "exact match 100.0% of 1 tasks" in result.stdout


def test_a_rate_says_over_how_many_tasks_it_is(safim: Path, tmp_path: Path) -> None:
    result = invoke("safim", "--data", safim, "--method", "gold", "--output", tmp_path / "run")
    assert "pass rate 100.0% of 2 tasks" in result.stdout
    assert "exact match 100.0% of 5 tasks" in result.stdout
    python = invoke(
        "safim", "--data", safim, "--method", "gold", "--output", tmp_path / "py", "--language", "Python"
    )
    assert "safim, gold, 2 tasks" in python.stdout
    assert "only Python is executed" not in python.stderr


def test_left_to_right_leaves_out_holes_that_end_inside_a_line(
    recorder: Recorder, safim: Path, tmp_path: Path
) -> None:
    inside = safim_rows("python")[0] | {"task_id": "x", "ground_truth": "2"}
    inside |= {name: inside[name] + ")" for name in ("prompt", "eval_prompt")}
    safim.write_text(safim.read_text() + json.dumps(inside) + "\n")
    run = ("safim", "--data", safim, "--method", "left-to-right", "--output", tmp_path / "run")
    assert (
        "1 of 3 tasks are left out: their holes end inside a line"
        in invoke(*run, "--language", "python").stderr
    )
    assert recorder.asked["max_lines"] == 1
    safim.write_text(json.dumps(inside) + "\n")
    assert "all holes of these tasks end inside a line" in str(invoke(*run).exception)


def test_left_to_right_is_not_offered_on_random_spans() -> None:
    methods = BENCHMARKS["humaneval-random-span"].methods
    assert methods == ("infill", "infill-rerank")
    assert BENCHMARKS["mid-line"].methods == methods
