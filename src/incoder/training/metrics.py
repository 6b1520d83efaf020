"""The record of a run: one JSON object a step in `metrics.jsonl`, the same for TensorBoard, and a picture."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from incoder.errors import IncoderError
from incoder.files import replaced_atomically, write_text

TENSORBOARD_FOLDER = "tensorboard"
_HELD_OUT = (
    ("validation_loss", "held out, left to right", "#d94801"),
    ("validation_infill_loss", "held out, infills", "#6a51a3"),
    ("validation_fill_loss", "held out, infills", "#6a51a3"),  # its name in the release before
)


class MetricsLog:
    """Appends to `metrics.jsonl` and to TensorBoard's event files in `folder`.

    A resumed run first drops what was logged after its checkpoint, so that each step stands there once.
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        self._path = folder / "metrics.jsonl"
        _drop_from(self._path, first_step)
        try:
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise IncoderError(f"cannot write {self._path}: {error.strerror}") from error
        from torch.utils.tensorboard import SummaryWriter

        self._tensorboard = SummaryWriter(str(folder / TENSORBOARD_FOLDER), purge_step=first_step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values of one step; they are on disk when this returns, save for the kernel's buffers."""
        try:
            self._file.write(json.dumps({"step": step, **values}) + "\n")
            self._file.flush()
        except OSError as error:
            raise IncoderError(f"cannot write {self._path}: {error.strerror}") from error
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._tensorboard.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The whole objects of a `metrics.jsonl`; a last line cut by a crash is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def plot_losses(rows: Sequence[Mapping[str, Any]], picture_path: Path) -> None:
    """Draw training and held-out loss over tokens seen, as `read_metrics` gives them, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    tokens = [row["tokens"] / 1e6 for row in rows]
    axes.plot(
        tokens, [row["loss"] for row in rows], color="#9ecae1", linewidth=0.7, label="training, each step"
    )
    axes.plot(tokens, _smoothed([row["loss"] for row in rows]), color="#08519c", label="training, smoothed")
    for metric, label, color in _HELD_OUT:
        held_out = [(row["tokens"] / 1e6, row[metric]) for row in rows if metric in row]
        if held_out:
            axes.plot(*zip(*held_out, strict=True), "o-", color=color, markersize=4, label=label)
    axes.set_xlabel("tokens seen (millions)")
    axes.set_ylabel("loss (nats per token)")
    axes.grid(alpha=0.3)
    axes.legend()
    with replaced_atomically(picture_path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _smoothed(values: list[float], momentum: float = 0.98) -> list[float]:
    smoothed: list[float] = []
    average = 0.0
    for count, value in enumerate(values, start=1):
        average = momentum * average + (1 - momentum) * value
        smoothed.append(average / (1 - momentum**count))
    return smoothed


def _drop_from(path: Path, first_step: int) -> None:
    kept = [row for row in read_metrics(path) if row["step"] < first_step]
    if path.exists():
        write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
