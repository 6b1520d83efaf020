"""Figures of rates, with a panel for each benchmark.

Like the paper's figure, they show rates over the share of lines after the hole; if no result has rates by
right-hand context, they show the rates as bars.
"""

import math
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from incoder.evaluation.report import Cell, Curve, Table
from incoder.extras import missing_extra

_COLORS = {"infill": "#0072b2", "rerank": "#d55e00", "left-to-right": "#666666"}
_OTHER_COLOR = "#009e73"
_STYLES = ("-", "--", ":", "-.")


def draw(curves: Sequence[Curve]) -> bytes:
    """Draw a PNG: a colour for each method, a line style for each model, and bars for 95 % intervals.

    Raises:
        IncoderError: matplotlib is not installed.
    """
    Figure = _figure()
    benchmarks = list(dict.fromkeys(curve.benchmark for curve in curves))
    models = list(dict.fromkeys(curve.model for curve in curves))
    cells = [cell for curve in curves for _, cell in curve.points]
    top = min(100.0, 115 * max([0.1, *(max(cell.value, *(cell.interval or (0.0,))) for cell in cells)]))
    figure = Figure(figsize=(0.6 + 4.4 * len(benchmarks), 4.2), layout="constrained")
    panels = figure.subplots(1, len(benchmarks), sharey=True, squeeze=False)[0]
    for axes, benchmark in zip(panels, benchmarks, strict=True):
        for number, curve in enumerate(curve for curve in curves if curve.benchmark == benchmark):
            # Shift the curves a little, so that no bar hides another.
            places = [place + 0.008 * number for place, _ in curve.points]
            values = [100 * cell.value for _, cell in curve.points]
            below, above = zip(*(_bar(cell) for _, cell in curve.points), strict=True)
            axes.errorbar(
                places,
                values,
                yerr=[below, above],
                color=_COLORS.get(curve.method, _OTHER_COLOR),
                linestyle=_STYLES[models.index(curve.model) % len(_STYLES)],
                marker="o",
                markersize=4,
                capsize=3,
                clip_on=False,
                label=curve.method if len(models) == 1 else f"{curve.model}, {curve.method}",
            )
        axes.set_title(benchmark)
        axes.set_xlabel("share of the function's lines after the hole")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, top)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("pass rate (%)")
    panels[0].legend(frameon=False, fontsize="small")
    return _png(figure)


def draw_rates(table: Table) -> bytes:
    """Draw a PNG of each benchmark's first rate: a bar for each model and method, with 95 % intervals.

    Raises:
        IncoderError: matplotlib is not installed.
    """
    Figure = _figure()
    columns = {benchmark: place for place, (benchmark, _) in reversed(list(enumerate(table.columns)))}
    benchmarks = list(dict.fromkeys(benchmark for benchmark, _ in table.columns))
    figure = Figure(figsize=(2.5 + 3.6 * len(benchmarks), 1.2 + 0.4 * len(table.rows)), layout="constrained")
    panels = figure.subplots(1, max(1, len(benchmarks)), sharey=True, squeeze=False)[0]
    names = [f"{model}, {method}" for model, method, _ in table.rows]
    for axes, benchmark in zip(panels, benchmarks, strict=False):
        for number, (_, method, cells) in enumerate(table.rows):
            cell = cells[columns[benchmark]]
            if cell is not None:
                below, above = _bar(cell)
                axes.barh(
                    number,
                    100 * cell.value,
                    xerr=[[below], [above]],
                    color=_COLORS.get(method, _OTHER_COLOR),
                    capsize=3,
                )
        axes.set_title(benchmark)
        axes.set_xlabel(table.columns[columns[benchmark]][1].replace("_", " ") + " (%)")
        axes.set_xlim(0, 100)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    return _png(figure)


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("drawing needs matplotlib", "evaluation") from error
    return Figure


def _png(figure: Any) -> bytes:
    content = BytesIO()
    figure.savefig(content, format="png", dpi=150)
    return content.getvalue()


def _bar(cell: Cell) -> tuple[float, float]:
    """The lengths of the interval below and above the rate, in percent; nan is not drawn."""
    if cell.interval is None:
        return math.nan, math.nan
    low, high = cell.interval
    return 100 * max(0.0, cell.value - low), 100 * max(0.0, high - cell.value)
