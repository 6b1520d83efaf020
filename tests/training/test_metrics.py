import json
from pathlib import Path
from typing import Any

import pytest

from incoder.training.metrics import MetricsLog, plot_losses, read_metrics


def test_each_step_is_one_line(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, first_step=0) as log:
        log.write(0, {"loss": 5.0, "tokens": 64})
        log.write(1, {"loss": 4.5, "tokens": 128})
    assert read_metrics(tmp_path / "metrics.jsonl") == [
        {"step": 0, "loss": 5.0, "tokens": 64},
        {"step": 1, "loss": 4.5, "tokens": 128},
    ]


def test_resuming_drops_what_came_after_the_checkpoint_and_a_cut_last_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "loss": 5.0}\n{"step": 1, "loss": 4.0}\n{"step": 2, "lo', encoding="utf-8")
    with MetricsLog(tmp_path, first_step=1) as log:
        log.write(1, {"loss": 4.25})
    assert read_metrics(path) == [{"step": 0, "loss": 5.0}, {"step": 1, "loss": 4.25}]


def test_the_loss_curve_is_a_png(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, first_step=0) as log:
        log.write(0, {"loss": 5.0, "tokens": 64})
        log.write(1, {"loss": 4.5, "tokens": 128, "validation_loss": 4.75})
    plot_losses(read_metrics(tmp_path / "metrics.jsonl"), tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


WHOLE = [{"step": 0, "loss": 5.0}, {"step": 1, "loss": 4.0}, {"step": 2, "loss": 3.5}]


def whole_lines() -> list[bytes]:
    return [json.dumps(row).encode() + b"\n" for row in WHOLE]


@pytest.mark.parametrize(
    "content",
    [
        b"".join(whole_lines()) + bytes(4096),
        b"".join(whole_lines()) + bytes(40) + b"\n",
        whole_lines()[0] + b'{"step": 1, "lo\n' + whole_lines()[1] + whole_lines()[2],
        whole_lines()[0] + b"\xff\xfe\x00garbage\n" + whole_lines()[1] + whole_lines()[2],
        whole_lines()[0] + b"[1, 2]\n" + whole_lines()[1] + whole_lines()[2],
        whole_lines()[0] + b'{"loss": 1.0}\n' + whole_lines()[1] + whole_lines()[2],
        whole_lines()[0] + b'{"step": "1"}\n' + whole_lines()[1] + whole_lines()[2],
        whole_lines()[0] + b"[" * 100_000 + b"\n" + whole_lines()[1] + whole_lines()[2],
    ],
    ids=["NULs", "NULs and a line end", "cut", "bytes", "a list", "no step", "a text step", "nested deeply"],
)
def test_damaged_lines_are_left_out_and_the_file_as_it_was_is_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(content)
    assert read_metrics(path) == WHOLE
    assert path.read_bytes() == content, "reading changes nothing"
    notes: list[str] = []
    with MetricsLog(tmp_path, first_step=3, on_note=notes.append) as log:
        log.write(3, {"loss": 3.0})
    assert read_metrics(path) == [*WHOLE, {"step": 3, "loss": 3.0}]
    assert path.read_bytes().count(b"\n") == 4
    assert (tmp_path / "metrics.damaged-1.jsonl").read_bytes() == content
    assert len(notes) == 1
    assert "metrics.damaged-1.jsonl" in notes[0]


def test_each_damaged_file_is_kept_under_a_name_of_its_own(tmp_path: Path) -> None:
    for number in (1, 2):
        with (tmp_path / "metrics.jsonl").open("ab") as file:
            file.write(b"damaged %d\n" % number)
        with MetricsLog(tmp_path, first_step=0):
            pass
    kept = [(tmp_path / f"metrics.damaged-{number}.jsonl").read_bytes() for number in (1, 2)]
    assert kept == [b"damaged 1\n", b"damaged 2\n"]


def test_a_last_line_cut_short_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(whole_lines()[0] + b'{"step": 1, "lo')
    notes: list[str] = []
    with MetricsLog(tmp_path, first_step=1, on_note=notes.append):
        pass
    assert notes == []
    assert [path.name for path in tmp_path.glob("metrics*")] == ["metrics.jsonl"]


def test_a_loss_curve_needs_no_row_to_be_complete(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"step": 0},
        {"step": 1, "loss": 4.5, "tokens": 64, "start_validation_loss": 4.75},
    ]
    plot_losses(rows, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
