"""`incoder eval build` writes a benchmark that `incoder eval` reads, and says what it left out."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from incoder.cli import eval_build
from incoder.cli.eval import app
from incoder.evaluation.building.function_rows import BUILDERS
from incoder.evaluation.building.holes import FILE_BUILDERS
from incoder.evaluation.building.python_holes import PYTHON_FILE_BUILDERS

CODE = """def longest(words, least):
    sizes = [len(word) for word in words]
    return max(sizes) if sizes else least
"""


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "code"
    root.mkdir()
    (root / "words.py").write_text(CODE)
    (root / "broken.py").write_text("def f(:\n")
    return root


def test_what_the_command_offers_is_what_can_be_built() -> None:
    assert set(eval_build._TASKS) == {*BUILDERS, *FILE_BUILDERS, *PYTHON_FILE_BUILDERS}


def test_a_benchmark_is_built_and_its_gold_is_right(folder: Path, tmp_path: Path) -> None:
    built = invoke("build", "cloze", "--from", folder, "--output", tmp_path / "data")
    assert built.exit_code == 0
    assert "1 files that do not parse" in built.stderr
    data = tmp_path / "data/cloze.jsonl"
    assert f"1 rows in {data}; judge with: incoder eval cloze --data {data}" in built.stderr
    judged = invoke("cloze", "--data", data, "--method", "gold", "--output", tmp_path / "run")
    assert (
        "accuracy 100.0% of 1 tasks (no interval: 1 problem; an interval needs at least 5)" in judged.stdout
    )


@pytest.mark.parametrize("task", ["single-line", "mid-line", "multi-line"])
def test_holes_in_any_language_are_built_and_their_gold_is_right(task: str, tmp_path: Path) -> None:
    root = tmp_path / "code"
    (root / "web").mkdir(parents=True)
    for number in range(3):
        lines = [f"  const value{number}_{line} = compute({line});\n" for line in range(40)]
        (root / f"web/part{number}.ts").write_text("".join(lines))
    assert invoke("build", task, "--from", root, "--output", tmp_path / "data").exit_code == 0
    data = tmp_path / f"data/{task}.jsonl"
    judged = invoke(task, "--data", data, "--method", "gold", "--output", tmp_path / "run")
    assert "exact match stripped 100.0%" in judged.stdout
    assert "edit similarity 100.0%" in judged.stdout
    empty = invoke(task, "--data", data, "--method", "empty", "--output", tmp_path / "empty")
    assert "edit similarity 0.0%" in empty.stdout
    other = invoke(task, "--data", data, "--method", "gold", "--output", tmp_path / "run", "--language", "go")
    assert "holds no task in go; it has typescript" in str(other.exception)


def test_a_row_may_have_less_than_the_whole_file(tmp_path: Path) -> None:
    root = tmp_path / "code"
    root.mkdir()
    (root / "a.py").write_text("".join(f"value{line} = compute({line})\n" for line in range(200)))
    built = invoke(
        "build", "name", "--from", root, "--output", tmp_path / "data", "--limit", "3", "--context", "100"
    )
    assert built.exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "data/name.jsonl").read_text().splitlines()]
    assert len(rows) == 3
    assert all(len(row["prefix"]) < 130 and len(row["suffix"]) < 80 for row in rows)
    assert json.loads((tmp_path / "data/name.build.json").read_text())["context"] == 100


def test_a_benchmark_that_was_not_built_yet_says_how(tmp_path: Path) -> None:
    result = invoke("mid-line", "--data", tmp_path, "--method", "gold", "--output", tmp_path / "run")
    assert "make it with: incoder eval build mid-line --from FOLDER" in str(result.exception)


@pytest.mark.parametrize("arguments", [("types",), ("cloze", "--limit", "0")])
def test_another_benchmark_and_no_rows_are_bad_usage(
    arguments: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    assert invoke("build", *arguments, "--from", folder, "--output", tmp_path / "data").exit_code == 2
    assert not (tmp_path / "data").exists()
