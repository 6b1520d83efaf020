"""Results of several runs in the tables, the figure and the page."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from incoder.errors import IncoderError
from incoder.evaluation.differences import differences
from incoder.evaluation.figure import draw, draw_rates
from incoder.evaluation.html_page import render
from incoder.evaluation.report import Cell, curves, load_results, table

PNG = b"\x89PNG\r\n"


def write(folder: Path, method: str, model: str | None, rate: float, **more: Any) -> Path:
    folder.mkdir(parents=True)
    rows = [
        {
            "task_id": f"t{number}",
            "problem": f"p{number // 2}",
            "rates": {"pass_rate": float(number % 2)},
            "right_context": number / 10,
        }
        for number in range(10)
    ]
    content = {
        "benchmark": "humaneval-single-line",
        "method": method,
        "model": model and {"name": model, "fingerprint": "abcdef0123456789"},
        "decoding": model and {"temperature": 0.8, "stopping_rules": []},
        "data_sha256": "0123456789abcdef",
        "headline": "pass_rate",
        "others": ["exact_match"],
        "ceiling": 1.0,
        "metrics": {
            "num_tasks": 10,
            "pass_rate": rate,
            "pass_rate_interval": [rate - 0.1, rate + 0.1],
            "exact_match": 0.25,
            "exact_match_interval": [0.2, 0.3],
        },
        "tasks": rows,
    }
    (folder / "results.json").write_text(json.dumps(content | more))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [
        write(tmp_path / "infill", "infill", "models/small", 0.6),
        write(tmp_path / "left", "left-to-right", "models/small", 0.4),
        write(tmp_path / "large", "infill", "large", 0.9, benchmark="humaneval", others=[]),
        write(tmp_path / "gold", "gold", None, 0.9),
    ]


def test_methods_go_down_and_tasks_across(runs: list[Path]) -> None:
    shown = table(load_results(runs))
    assert sorted(shown.columns) == [
        ("humaneval", "pass_rate"),
        ("humaneval-single-line", "exact_match"),
        ("humaneval-single-line", "pass_rate"),
    ]
    assert [row[:2] for row in shown.rows] == [
        ("(no model)", "gold"),
        ("large", "infill"),
        ("small", "left-to-right"),
        ("small", "infill"),
    ]
    place = shown.columns.index(("humaneval-single-line", "pass_rate"))
    cells = [row[2][place] for row in shown.rows]
    assert [cell and cell.value for cell in cells] == [0.9, None, 0.4, 0.6]
    assert cells[0] == Cell(0.9, (0.8, 1.0))


@pytest.mark.parametrize("interval", [{"pass_rate_interval": None}, {}])
def test_a_rate_without_an_interval_is_shown_alone(tmp_path: Path, interval: dict[str, None]) -> None:
    metrics = {"num_tasks": 10, "pass_rate": 0.5, **interval}
    results = load_results([write(tmp_path / "few", "infill", "small", 0.5, metrics=metrics)])
    shown = table(results)
    assert shown.rows[0][2] == (Cell(0.5, None, "its file holds none"),)
    assert "50.0<small>–</small>" in render(shown, results, None)


def test_runs_of_one_name_are_recorded_apart_by_their_folders(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, "infill", "small", 0.5) / "results.json" for name in ("one", "two")]
    assert [result.model for result in load_results(paths)] == ["small", "small (two)"]


def test_three_runs_in_folders_of_one_name_are_all_kept(tmp_path: Path) -> None:
    paths = [write(tmp_path / seed / "infill", "infill", "small", 0.5) for seed in ("one", "two", "three")]
    names = [result.model for result in load_results(paths)]
    assert names == ["small", "small (infill)", "small (three/infill)"]


def test_one_result_given_again_and_again_is_kept_as_often(tmp_path: Path) -> None:
    num_folders = len(tmp_path.parts)
    path = write(tmp_path / "run", "infill", "small", 0.5)
    names = [result.model for result in load_results([path] * (num_folders + 3))]
    assert len(set(names)) == num_folders + 3
    assert {"small", "small (run)", "small (2)"} <= set(names)


def test_curves_are_means_over_fifths_of_the_right_hand_context(runs: list[Path]) -> None:
    (curve,) = curves(load_results([runs[0]]))
    assert [place for place, _ in curve.points] == pytest.approx([0.05, 0.25, 0.45, 0.65, 0.85])
    assert [cell for _, cell in curve.points] == [Cell(0.5, None)] * 5  # of one problem each


def test_the_figure_is_a_picture(runs: list[Path]) -> None:
    assert draw(curves(load_results(runs))).startswith(PNG)


def test_the_page_holds_everything_in_one_file(runs: list[Path], tmp_path: Path) -> None:
    runs.append(write(tmp_path / "strange", "infill", "<b>&", 0.5))
    results = load_results(runs)
    page = render(table(results), results, PNG)
    assert base64.b64encode(PNG).decode() in page
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page
    assert "40.0<small>30.0 – 50.0</small>" in page
    assert "abcdef012345" in page
    assert not re.search(r'(src|href)="(?!data:)', page)


@pytest.mark.parametrize("content", ["no json", "[]", "{}", '{"model": null, "benchmark": "x"}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(IncoderError, match=r"is not a results\.json of incoder eval"):
        load_results([tmp_path])


def test_a_run_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="cannot read"):
        load_results([tmp_path / "no"])


def plain(folder: Path, model: str, passed: list[float], **more: Any) -> Path:
    """A run without right-hand context, each task of a problem of its own."""
    rows = [
        {"task_id": f"t{number}", "problem": f"p{number}", "rates": {"pass_rate": value}}
        for number, value in enumerate(passed)
    ]
    return write(folder, "infill", model, sum(passed) / len(passed), tasks=rows, **more)


def test_without_right_hand_context_the_picture_shows_the_rates(tmp_path: Path) -> None:
    results = load_results([plain(tmp_path / "one", "small", [0.0, 1.0])])
    assert curves(results) == []
    assert draw_rates(table(results)).startswith(PNG)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("runs/run1/model", "runs/run2/model"), ("run1", "run2")),
        (("runs/run1/model",), ("run1",)),
        (("a/run/model", "b/run/model"), ("a/run", "b/run")),
        (("one/best", "two/best"), ("one/best", "two/best")),
        (("model",), ("model",)),
        (("mini", "facebook/incoder-1B"), ("mini", "incoder-1B")),
    ],
)
def test_models_are_recorded_apart_by_their_runs(
    tmp_path: Path, names: tuple[str, ...], labels: tuple[str, ...]
) -> None:
    folders = [plain(tmp_path / str(number), name, [1.0]) for number, name in enumerate(names)]
    results = sorted(load_results(folders), key=lambda result: result.place)
    assert tuple(result.model for result in results) == labels


def test_other_weights_of_one_name_are_recorded_apart_by_their_fingerprints(tmp_path: Path) -> None:
    folders = []
    for number in range(2):
        recorded = {"name": "mini", "fingerprint": f"{number}0000000ffff"}
        folders.append(plain(tmp_path / str(number), "mini", [1.0]))
        content = json.loads((folders[-1] / "results.json").read_text()) | {"model": recorded}
        (folders[-1] / "results.json").write_text(json.dumps(content))
    assert {result.model for result in load_results(folders)} == {"mini [00000000]", "mini [10000000]"}


def test_two_models_are_compared_task_by_task(tmp_path: Path) -> None:
    """Each is right about half of the tasks, one of them on 10 of 100 more, which either interval hides."""
    first = [float(number % 2) for number in range(100)]
    second = [1.0 if number % 10 == 0 else value for number, value in enumerate(first)]
    results = load_results([plain(tmp_path / "a", "a", first), plain(tmp_path / "b", "b", second)])
    (found,) = differences(results)
    assert (found.one, found.other) == (("b", "infill"), ("a", "infill"))
    assert (found.num_tasks, found.num_better, found.num_worse) == (100, 10, 0)
    assert found.value == pytest.approx(0.1)
    assert found.interval is not None
    assert 0.03 < found.interval[0] < 0.1 < found.interval[1] < 0.18


def test_tasks_of_one_result_alone_do_not_count_and_few_problems_have_no_interval(tmp_path: Path) -> None:
    results = load_results(
        [plain(tmp_path / "a", "a", [1.0, 0.0]), plain(tmp_path / "b", "b", [0.0, 0.0, 1.0])]
    )
    (found,) = differences(results)
    assert (found.num_tasks, found.value, found.num_worse) == (2, -0.5, 1)
    assert (found.interval, found.missing) == (None, "2 problems; an interval needs at least 5")
    page = render(table(results), results, None, [found])
    assert "Differences, task by task" in page
    assert "2 problems; an interval needs at least 5" in page


def test_baselines_are_compared_with_nothing(runs: list[Path]) -> None:
    pairs = [(found.one, found.other) for found in differences(load_results(runs))]
    assert pairs == [(("small", "left-to-right"), ("small", "infill"))]
