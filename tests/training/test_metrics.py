from pathlib import Path

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
