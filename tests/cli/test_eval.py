"""`incoder eval` judges by one command per benchmark and says what is missing before it loads a model."""

import json
from dataclasses import astuple, replace
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
from incoder.evaluation.methods import described
from incoder.evaluation.run import Environment
from incoder.infill_defaults import with_infill_defaults
from incoder.request import InfillRequest, PromptOptions
from incoder.request_settings import ALL_STOPPING_RULES, RequestSettings

BENCHMARK = "humaneval-single-line"
TASK_ID = "SingleLineInfilling/HumanEval/0/L0"
GOLD = "    return x + x\n"
ENVIRONMENT = Environment("causal-masking", "float32", "cpu")


def as_of_five(settings: RequestSettings, num_holes: int = 1) -> RequestSettings:
    """The defaults of a model with five candidates."""
    return with_infill_defaults(settings, 5, num_holes)


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
def test_the_ceiling_of_the_harness_is_shown_and_with_json_one_object(
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

    def run(request: InfillRequest) -> SimpleNamespace:
        assert request.prompt.path is not None
        assert request.prompt.path.suffix == ".py"
        asked.update(described(request), num_parts=len(request.parts), stop=request.sampling.stop)
        return SimpleNamespace(infills=["    return 2 * x\n"])

    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    monkeypatch.setattr(
        eval_command, "_load", lambda *_: (SimpleNamespace(run=run, infill_settings=as_of_five), ENVIRONMENT)
    )
    options = ["--temperature", "0.5", "--seed", "3", "--model", str(checkpoint), "--json"]
    result = invoke(BENCHMARK, "--data", data, "--output", tmp_path / "run", *options)
    assert result.exit_code == 0
    assert asked == {
        "num_parts": 2,
        "temperature": 0.5,
        "top_p": 0.95,
        "seed": 3,
        "max_new_tokens": 64,
        "token_healing": True,
        "stopping_rules": (),
        "num_tail_lines": None,
        "num_candidates": 1,
        "rank_by": "mean",
        "greedy_first": False,
        "branches": False,
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

    def run(request: InfillRequest) -> SimpleNamespace:
        assert len(request.parts) == 1
        asked.update(described(request))
        return SimpleNamespace(candidates=[SimpleNamespace(infills=[GOLD])])

    monkeypatch.setattr(
        eval_command, "_load", lambda *_: (SimpleNamespace(run=run, infill_settings=as_of_five), ENVIRONMENT)
    )
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


def test_equal_samples_are_noted(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SimpleNamespace(run=lambda _: SimpleNamespace(infills=[GOLD]), infill_settings=as_of_five)
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

    infill_settings = staticmethod(as_of_five)

    def __init__(self) -> None:
        self.request = InfillRequest()

    @property
    def asked(self) -> dict[str, Any]:
        return described(self.request)

    def run(self, request: InfillRequest) -> SimpleNamespace:
        self.request = request
        return SimpleNamespace(infills=[GOLD], candidates=[SimpleNamespace(infills=[GOLD])])


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
    """Compared with the request that `incoder fill` really makes, over all settings that infilling has."""
    filled: list[InfillRequest] = []

    def run(request: InfillRequest, **_: Any) -> None:
        filled.append(request)
        raise IncoderError("asked enough")

    monkeypatch.setattr("incoder.load", lambda *_, **__: SimpleNamespace(run=run, infill_settings=as_of_five))
    holes = tmp_path / "holes.py"
    holes.write_text("x = <FILL>\n")
    CliRunner().invoke(commands.app, ["fill", str(holes)])
    result = invoke(BENCHMARK, "--data", data, "--output", tmp_path / "run", "--defaults")
    assert result.exit_code == 0
    (fills,), evaluates = filled, recorder.request
    assert replace(fills, parts=(), prompt=PromptOptions()) == replace(
        evaluates, parts=(), prompt=PromptOptions()
    )
    assert replace(fills.prompt, path=None) == replace(evaluates.prompt, path=None)
    assert "incoder fill without options uses the same settings" in result.stderr


def test_the_settings_of_eval_and_fill_are_noted_with_a_result(
    recorder: Recorder, tmp_path: Path, data: Path
) -> None:
    result = invoke(BENCHMARK, "--data", data, "--output", tmp_path / "run")
    assert "decoding: greedy, at most 64 tokens, token healing on, stopping rules none" in result.stderr
    assert "incoder fill without options (--defaults): greedy, at most 128 tokens" in result.stderr
    assert "the best of 5 (a greedy one and its branches) by syntax" in result.stderr
    assert recorder.asked["temperature"] == 0


@pytest.mark.parametrize("rule", ALL_STOPPING_RULES)
def test_each_stopping_rule_can_be_switched_on_alone(
    rule: str, recorder: Recorder, tmp_path: Path, data: Path
) -> None:
    result = invoke(BENCHMARK, "--data", data, "--output", tmp_path / "run", "--stopping-rule", rule)
    assert recorder.asked["stopping_rules"] == (rule,)
    assert f"stopping rules {rule}" in result.stderr


def test_token_healing_and_ranking_can_be_switched(recorder: Recorder, tmp_path: Path, data: Path) -> None:
    run = (BENCHMARK, "--data", data, "--output")
    options: tuple[str, ...] = (
        "--no-token-healing",
        "--stopping-rules",
        "--num-candidates",
        "4",
        "--rank-by",
        "full-text",
    )
    options = (*options, "--temperature", "0.8")
    assert invoke(*run, tmp_path / "one", *options).exit_code == 0
    assert recorder.asked["token_healing"] is False
    assert recorder.asked["stopping_rules"] == ALL_STOPPING_RULES
    assert (recorder.asked["num_candidates"], recorder.asked["rank_by"]) == (4, "full-text")
    assert invoke(*run, tmp_path / "two", "--method", "infill-rerank").exit_code == 0
    assert (recorder.asked["num_candidates"], recorder.asked["rank_by"]) == (10, "full-text")


@pytest.mark.parametrize(
    "options",
    [
        ("--defaults", "--temperature", "0.5"),
        ("--defaults", "--stopping-rule", ALL_STOPPING_RULES[0]),
        ("--defaults", "--no-token-healing"),
        ("--defaults", "--method", "left-to-right"),
        ("--stopping-rule", "magic"),
        ("--stopping-rules", "--stopping-rule", ALL_STOPPING_RULES[0]),
        ("--method", "rerank", "--rank-by", "full-text"),
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
    assert recorder.request.sampling.max_lines == 1
    safim.write_text(json.dumps(inside) + "\n")
    assert "all holes of these tasks end inside a line" in str(invoke(*run).exception)


def test_left_to_right_is_not_offered_on_random_spans() -> None:
    methods = BENCHMARKS["humaneval-random-span"].methods
    assert methods == ("infill", "infill-rerank")
    assert "left-to-right" in BENCHMARKS["mid-line"].methods  # told the number of characters


def test_options_of_before_are_read_with_a_note(recorder: Recorder, tmp_path: Path, data: Path) -> None:
    options = ("--no-heal", "--edge-rule", "loops", "--lead-lines", "2", "--rank-by", "whole")
    result = invoke(BENCHMARK, "--data", data, "--output", tmp_path / "run", *options)
    assert result.exit_code == 0
    assert (recorder.asked["token_healing"], recorder.asked["stopping_rules"]) == (False, ("loops",))
    assert (recorder.asked["num_tail_lines"], recorder.asked["rank_by"]) == (2, "full-text")
    for old, new in (("--no-heal", "--no-token-healing"), ("--edge-rule", "--stopping-rule")):
        assert f"note: {old} is now called {new}" in result.stderr
