"""A run asks for each completion once, remembers what made it, and reports rates with their protocol."""

import json
from pathlib import Path
from typing import Any

import pytest

from incoder.errors import IncoderError
from incoder.evaluation.benchmark import Task
from incoder.evaluation.benchmark_files import load_tasks
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.evaluation.execution import Limits
from incoder.evaluation.methods import benchmark_request
from incoder.evaluation.run import (
    PROTOCOL_VERSION,
    Environment,
    ExecutionSettings,
    checkpoint_fingerprint,
    collect,
    settings_of,
    write_results,
)

BENCHMARK = BENCHMARKS["humaneval-single-line"]
RIGHT, WRONG = "    y = 2 * x\n", "    y = 3 * x\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    tasks = [
        {
            "task_id": f"SingleLineInfilling/HumanEval/{number // 2}/L{number % 2}",
            "entry_point": "double",
            "prompt": "def double(x):\n",
            "suffix": "    return y\n",
            "canonical_solution": "    y = x + x\n",
            "test": "def check(candidate):\n    assert candidate(2) == 4\n",
        }
        for number in range(4)
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(task) + "\n" for task in tasks))
    return path


def run(data: Path, output: Path, *answers: str, name: str = "scripted", **more: Any) -> dict[str, Any]:
    """A run in which sample i of every task is answer i."""
    tasks = load_tasks(data, BENCHMARK, more.pop("limit", None))
    settings = settings_of(
        BENCHMARK, data, method="infill", model={"name": name}, decoding=benchmark_request(max_new_tokens=64)
    )
    completions = collect(
        tasks, output, settings, lambda _, sample: answers[sample], num_samples=len(answers), **more
    )
    return write_results(
        BENCHMARK, tasks, completions, output, settings, ExecutionSettings(Limits(seconds=2))
    )


def test_results_of_somebody_else_stop_a_run_before_its_work(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "theirs"
    output.mkdir()
    (output / "results.json").write_text("[]")
    with pytest.raises(IncoderError, match=r"holds results\.json, which would be replaced"):
        run(data, output, RIGHT)
    assert {path.name: path.read_text() for path in output.iterdir()} == {"results.json": "[]"}


def test_results_carry_their_protocol(data: Path, tmp_path: Path) -> None:
    results = run(data, tmp_path / "run", RIGHT, limit=3)
    assert json.loads((tmp_path / "run/results.json").read_text()) == results
    assert results["benchmark"] == "humaneval-single-line"
    assert results["model"] == {"name": "scripted"}
    assert results["decoding"]["stopping_rules"] == []
    assert len(results["data_sha256"]) == 64
    assert results["execution"]["seconds"] == 2
    assert results["ceiling"] == 1
    metrics = results["metrics"]
    assert metrics["num_tasks"] == len(results["tasks"]) == 3
    assert metrics["num_problems"] == 2
    assert (metrics["pass_rate"], metrics["exact_match"]) == (1, 0)
    assert metrics["pass_rate_interval"] is None  # of two problems
    assert metrics["outcomes"] == {"passed": 3}
    assert results["tasks"][0]["right_context"] == pytest.approx(1 / 3)


def test_a_completion_that_goes_on_passes_only_when_cut_to_the_gold_lines(data: Path, tmp_path: Path) -> None:
    metrics = run(data, tmp_path / "run", RIGHT + "    y = None\n")["metrics"]
    assert (metrics["pass_rate"], metrics["pass_rate_newline"], metrics["pass_rate_gold_lines"]) == (0, 0, 1)


def test_several_samples_give_pass_at_k(data: Path, tmp_path: Path) -> None:
    results = run(data, tmp_path / "run", RIGHT, *[WRONG] * 9)
    assert results["num_samples"] == 10
    metrics = results["metrics"]
    assert [metrics["pass@1"], metrics["pass_rate"]] == pytest.approx([0.1, 0.1])
    assert metrics["pass@10"] == 1
    assert "pass@100" not in metrics
    assert len(results["tasks"][0]["samples"]) == 10


def test_a_stopped_run_goes_on_with_what_is_missing(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run", RIGHT, limit=2)
    with (tmp_path / "run/samples.jsonl").open("a") as file:
        file.write('{"task_id": "SingleLineInf')  # killed while it wrote
    asked: list[tuple[str, int]] = []
    reported: list[tuple[str, int, int]] = []

    def answer(task: Task, sample: int) -> str:
        asked.append((task.key[-6:], sample))
        return WRONG

    tasks = load_tasks(data, BENCHMARK)
    settings = settings_of(
        BENCHMARK,
        data,
        method="infill",
        model={"name": "scripted"},
        decoding=benchmark_request(max_new_tokens=64),
    )
    completions = collect(
        tasks,
        tmp_path / "run",
        settings,
        answer,
        num_samples=2,
        on_progress=lambda stage, done, total: reported.append((stage, done, total)),
    )
    # Two of the four first samples were there; the second samples come after them.
    assert asked == [("l/0/L1", 0), ("l/1/L1", 0), ("l/0/L0", 1), ("l/0/L1", 1), ("l/1/L0", 1), ("l/1/L1", 1)]
    assert reported[0] == ("generating", 3, 8)
    assert reported[-1] == ("generating", 8, 8)
    assert [texts[0] for texts in completions.values()].count(RIGHT) == 2


def test_settings_tell_how_a_model_was_set_up(data: Path) -> None:
    environments = [Environment("causal-masking", dtype, "cpu") for dtype in ("float32", "bfloat16")]
    one, other = (
        settings_of(BENCHMARK, data, method="infill", environment=environment) for environment in environments
    )
    assert {name for name in one if one[name] != other[name]} == {"dtype"}
    assert one["protocol_version"] == PROTOCOL_VERSION


def test_another_model_does_not_continue_the_run(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run", RIGHT, limit=2)
    with pytest.raises(IncoderError, match="holds completions made with model"):
        run(data, tmp_path / "run", RIGHT, name="other")


def test_a_checkpoints_fingerprint_follows_its_weights_and_not_its_folder(tmp_path: Path) -> None:
    fingerprints = []
    for name, weights in (("one", b"w"), ("same", b"w"), ("other", b"v")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "README.md").write_text(name)
        fingerprints.append(checkpoint_fingerprint(folder))
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_a_run_of_the_release_before_goes_on_under_the_names_of_today(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    first = run(data, output, RIGHT)
    settings = json.loads((output / "settings.json").read_text())
    decoding = settings["decoding"]
    for new, old in (
        ("token_healing", "heal_tokens"),
        ("stopping_rules", "edge_rules"),
        ("num_tail_lines", "num_lead_lines"),
    ):
        decoding[old] = decoding.pop(new)
    (output / "settings.json").write_text(json.dumps(settings))
    assert run(data, output, RIGHT)["metrics"] == first["metrics"]
