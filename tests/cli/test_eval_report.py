"""`incoder eval report` compares runs on the terminal, as a picture, as a page and as JSON."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from incoder.cli.eval import app
from incoder.errors import IncoderError

ANSWERS = {"right": "    return x + x\n", "wrong": "    return 3\n"}


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs of one task, with completions from elsewhere."""
    task_id = "SingleLineInfilling/HumanEval/0/L0"
    task = {
        "task_id": task_id,
        "entry_point": "double",
        "prompt": "def double(x):\n",
        "suffix": "",
        "canonical_solution": ANSWERS["right"],
        "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    }
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(task) + "\n")
    for name, answer in ANSWERS.items():
        samples = tmp_path / f"{name}.jsonl"
        samples.write_text(json.dumps({"task_id": task_id, "completion": answer}) + "\n")
        output = tmp_path / name
        run = ("humaneval-single-line", "--data", data, "--samples", samples, "--output", output)
        assert invoke(*run).exit_code == 0
    return [tmp_path / name for name in ANSWERS]


def test_rates_are_shown_side_by_side_with_their_intervals(runs: list[Path]) -> None:
    result = invoke("report", *runs)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "humaneval-single-line"
    assert lines[1] == "model method pass rate % exact match %"
    assert lines[2] == "right samples 100.0 [–] 100.0 [–]"
    assert lines[3] == "wrong samples 0.0 [–] 0.0 [–]"


def test_json_holds_the_table_and_the_curves(runs: list[Path]) -> None:
    shown = json.loads(invoke("report", "--json", *runs).stdout)
    assert [row[2][0]["value"] for row in shown["table"]["rows"]] == [1, 0]
    assert len(shown["curves"]) == 2


def test_picture_and_page_are_written(runs: list[Path], tmp_path: Path) -> None:
    picture, page = tmp_path / "context.png", tmp_path / "report.html"
    assert invoke("report", *runs, "--png", picture, "--html", page).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in page.read_text()


def test_no_results_are_bad_usage_and_others_an_error(tmp_path: Path) -> None:
    assert invoke("report").exit_code == 2
    assert isinstance(invoke("report", tmp_path).exception, IncoderError)
