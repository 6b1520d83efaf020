"""A run completes each task once, remembers what made it, and reports rates with their protocol."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from incoder.errors import IncoderError
from incoder.evaluation.execution import Limits
from incoder.evaluation.humaneval_infilling import BENCHMARKS
from incoder.evaluation.infilling_run import (
    Decoding,
    Infiller,
    Method,
    checkpoint_fingerprint,
    run_benchmark,
)

BENCHMARK = BENCHMARKS["humaneval-single-line"]
PROMPT = "def double(x):\n"
TEST = "def check(candidate):\n    assert candidate(2) == 4\n"


@dataclass
class Answer:
    infills: list[str]


@dataclass
class Scripted:
    """Answers what it was told, and remembers what it was asked."""

    infill_text: str = "    y = 2 * x\n"
    complete_text: str = "\n    y = 2 * x\n    z = 1\n"
    asked: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)

    def infill(self, parts: Sequence[str], **decoding: Any) -> Answer:
        self.asked.append((list(parts), decoding))
        return Answer([self.infill_text])

    def complete(self, prompt: str, **decoding: Any) -> Answer:
        self.asked.append((prompt, decoding))
        return Answer([self.complete_text])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    tasks = [
        {
            "task_id": f"SingleLineInfilling/HumanEval/{number // 2}/L{number % 2}",
            "entry_point": "double",
            "prompt": PROMPT,
            "suffix": "    return y\n",
            "canonical_solution": "    y = x + x\n",
            "test": TEST,
        }
        for number in range(4)
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(task) + "\n" for task in tasks))
    return path


def run(
    data: Path,
    output: Path,
    model: Infiller | None,
    method: Method = "infill",
    name: str = "scripted",
    **more: Any,
) -> dict[str, Any]:
    settings = {"name": name}
    return run_benchmark(
        BENCHMARK,
        data,
        output,
        method=method,
        model=model,
        model_settings=settings,
        decoding=Decoding(64),
        limits=Limits(seconds=2),
        **more,
    )


def test_infilling_sees_both_sides_of_a_python_file(data: Path, tmp_path: Path) -> None:
    model = Scripted()
    results = run(data, tmp_path / "run", model)
    parts = [PROMPT, "    return y\n"]
    decoding = {"path": "solution.py", "max_new_tokens": 64, "temperature": 0.0, "top_p": 0.95, "seed": 0}
    # The rules that end a fill for the model are for users; a benchmark judges what it wrote.
    decoding |= {"heal_tokens": True, "edge_rules": ()}
    assert model.asked == [(parts, decoding)] * 4
    assert results["metrics"]["pass_rate"] == 1
    assert results["metrics"]["exact_match"] == 0


def test_left_to_right_sees_the_left_side_and_is_cut_to_one_line(data: Path, tmp_path: Path) -> None:
    model = Scripted()
    results = run(data, tmp_path / "run", model, "left-to-right")
    assert model.asked[0][0] == PROMPT
    assert {row["completion"] for row in results["tasks"]} == {"    y = 2 * x\n"}
    assert results["metrics"]["pass_rate"] == 1


def test_gold_and_empty_need_no_model(data: Path, tmp_path: Path) -> None:
    assert run(data, tmp_path / "gold", None, "gold")["metrics"]["pass_rate"] == 1
    empty = run(data, tmp_path / "empty", None, "empty")
    assert empty["metrics"]["pass_rate"] == 0
    assert empty["metrics"]["outcomes"] == {"failed": 4}
    assert empty["model"] is None


def test_a_completion_that_goes_on_passes_only_when_cut_to_the_gold_lines(data: Path, tmp_path: Path) -> None:
    metrics = run(data, tmp_path / "run", Scripted("    y = 2 * x\n    y = None\n"))["metrics"]
    assert (metrics["pass_rate"], metrics["pass_rate_newline"], metrics["pass_rate_gold_lines"]) == (0, 0, 1)


def test_results_carry_their_protocol(data: Path, tmp_path: Path) -> None:
    results = run(data, tmp_path / "run", Scripted(), limit=3)
    assert json.loads((tmp_path / "run/results.json").read_text()) == results
    assert results["benchmark"] == "humaneval-single-line"
    assert results["model"] == {"name": "scripted"}
    assert results["decoding"]["edge_rules"] == []
    assert len(results["data_sha256"]) == 64
    assert results["execution"]["seconds"] == 2
    assert results["metrics"]["num_tasks"] == len(results["tasks"]) == 3
    assert results["metrics"]["num_problems"] == 2
    assert results["metrics"]["pass_rate_interval"] == [1, 1]


def test_a_stopped_run_goes_on_with_the_tasks_that_are_missing(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run", Scripted(), limit=2)
    model = Scripted()
    told: list[tuple[str, int, int]] = []
    run(data, tmp_path / "run", model, on_progress=lambda *step: told.append(step))
    assert len(model.asked) == 2
    assert told == [("generating", 3, 4), ("generating", 4, 4), ("executing", 1, 1)]


def test_another_model_does_not_continue_the_run(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run", Scripted(), limit=2)
    with pytest.raises(IncoderError, match="holds completions made with model"):
        run(data, tmp_path / "run", Scripted(), name="other")


def test_a_checkpoints_fingerprint_follows_its_weights_and_not_its_folder(tmp_path: Path) -> None:
    fingerprints = []
    for name, weights in (("one", b"w"), ("same", b"w"), ("other", b"v")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "README.md").write_text(name)
        fingerprints.append(checkpoint_fingerprint(folder))
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
