"""The metrics of a run: one JSON object a step in `metrics.jsonl`, the same for TensorBoard, a loss curve."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from incoder.errors import IncoderError
from incoder.files import replaced_atomically, write_text

TENSORBOARD_FOLDER = "tensorboard"
BEFORE_START = "start_"  # prefix of metrics of the start model, in the row of the first step
_HELD_OUT = (
    ("validation_loss", "held out, left to right", "#d94801"),
    ("validation_infill_loss", "held out, infills", "#6a51a3"),
    ("validation_fill_loss", "held out, infills", "#6a51a3"),  # its name in the release before
)


class MetricsLog:
    """Appends to `metrics.jsonl` and to TensorBoard's event files in `folder`.

    A resumed run first drops the rows after its checkpoint, so that each step is there once. It also drops
    damaged lines, such as the NUL bytes that a power cut leaves; then the file as it was is kept under
    another name, and `on_note` is called with a sentence.

    Raises:
        IncoderError: the file cannot be read or written.
    """

    def __init__(
        self, folder: Path, *, first_step: int, on_note: Callable[[str], None] = lambda _: None
    ) -> None:
        self._path = folder / "metrics.jsonl"
        _repair(self._path, first_step, on_note)
        try:
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise IncoderError(f"cannot write {self._path}: {error.strerror}") from error
        from torch.utils.tensorboard import SummaryWriter

        self._tensorboard = SummaryWriter(str(folder / TENSORBOARD_FOLDER), purge_step=first_step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values of one step; on return they are out of this process, which may be killed."""
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
    """Return the rows of a `metrics.jsonl`, without damaged lines and a last line cut short by a crash.

    >>> read_metrics(Path("no/such/run/metrics.jsonl"))
    []

    Raises:
        IncoderError: the file cannot be read.
    """
    return [row for row in _parsed(path) if row is not None]


def plot_losses(rows: Sequence[Mapping[str, Any]], picture_path: Path) -> None:
    """Draw the losses in rows of `read_metrics` over the tokens seen, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    rows = [row for row in rows if "tokens" in row and "loss" in row]
    tokens = [row["tokens"] / 1e6 for row in rows]
    axes.plot(
        tokens, [row["loss"] for row in rows], color="#9ecae1", linewidth=0.7, label="training, each step"
    )
    axes.plot(tokens, _smoothed([row["loss"] for row in rows]), color="#08519c", label="training, smoothed")
    for metric, label, color in _HELD_OUT:
        held_out = [(0.0, row[BEFORE_START + metric]) for row in rows if BEFORE_START + metric in row]
        held_out += [(row["tokens"] / 1e6, row[metric]) for row in rows if metric in row]
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
    for number, value in enumerate(values, start=1):
        average = momentum * average + (1 - momentum) * value
        smoothed.append(average / (1 - momentum**number))
    return smoothed


def _repair(path: Path, first_step: int, on_note: Callable[[str], None]) -> None:
    """Leave the whole rows of the steps before `first_step` in the file."""
    if not path.exists():
        return
    rows = _parsed(path)
    num_damaged = rows.count(None)
    if num_damaged:
        copy = _free_name(path)
        try:
            shutil.copyfile(path, copy)
        except OSError as error:
            raise IncoderError(f"cannot copy {path} to {copy}: {error.strerror}") from error
        on_note(
            f"{path} had {num_damaged} damaged line{'s' if num_damaged > 1 else ''}, which "
            f"{'are' if num_damaged > 1 else 'is'} left out; the file as it was is kept as {copy.name}"
        )
    kept = [row for row in rows if row is not None and row["step"] < first_step]
    write_text(path, "".join(json.dumps(row) + "\n" for row in kept))


def _parsed(path: Path) -> list[dict[str, Any] | None]:
    """The rows of a file, None for a damaged line; a last line without its end is left out."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise IncoderError(f"cannot read {path}: {error.strerror}") from error
    *lines, rest = content.split(b"\n")
    rows = [_row(line) for line in lines if line.strip()]
    return [*rows, None] if b"\0" in rest else rows


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and type(row.get("step")) is int else None


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.stem}.damaged-{number}{path.suffix}") for number in count(1))
    return next(name for name in names if not name.exists())
