"""The picture of a fine-tuning run: rates before and after, and the held-out loss over the steps."""

from collections.abc import Mapping, Sequence
from io import BytesIO

from incoder.extras import missing_extra
from incoder.finetuning.comparison import Interval, Measure

_BEFORE, _AFTER = "#999999", "#0072b2"
_LOSS = "validation_infill_loss"


def draw(measures: Sequence[Measure], steps: Sequence[Mapping[str, float]], title: str) -> bytes:
    """Draw a PNG: a pair of bars with 95 % intervals for each rate, and the curve of the held-out loss.

    `steps` are the rows of `metrics.jsonl`.

    Raises:
        IncoderError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("drawing needs matplotlib", "evaluation") from error
    rates = [measure for measure in measures if measure.is_rate]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    bars, curve = figure.subplots(1, 2)
    for number, measure in enumerate(rates):
        pairs = (
            (measure.before, measure.before_interval, _BEFORE, "before"),
            (measure.after, measure.after_interval, _AFTER, "after"),
        )
        for place, (value, interval, color, label) in enumerate(pairs):
            bars.bar(
                number + 0.4 * place,
                100 * value,
                0.36,
                yerr=_error(value, interval),
                color=color,
                capsize=3,
                label=label if number == 0 else None,
            )
    bars.set_xticks([number + 0.2 for number in range(len(rates))], [one.name for one in rates])
    bars.set_ylabel("%")
    bars.legend(frameon=False)
    points = [(int(row["step"]) + 1, row[_LOSS]) for row in steps if _LOSS in row]
    start = [(0, row[f"start_{_LOSS}"]) for row in steps[:1] if f"start_{_LOSS}" in row]
    if points or start:
        places, losses = zip(*[*start, *points], strict=True)
        curve.plot(places, losses, color=_AFTER, marker="o", markersize=3)
    curve.set_xlabel("steps")
    curve.set_ylabel("held-out loss in infills (nats a token)")
    for axes in (bars, curve):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    content = BytesIO()
    figure.savefig(content, format="png", dpi=150)
    return content.getvalue()


def _error(value: float, interval: Interval) -> list[list[float]] | None:
    if interval is None:
        return None
    return [[100 * max(0.0, value - interval[0])], [100 * max(0.0, interval[1] - value)]]
