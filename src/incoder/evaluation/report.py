"""Results of several runs side by side: result files in, tables and points of the figure out.

The tables are the paper's, methods down and tasks across, every number with its interval; a row for each
method of each model. Knows neither terminals nor pages.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incoder.errors import IncoderError
from incoder.evaluation.statistics import cluster_bootstrap_interval

_SAMPLES = "samples"
_METHODS = (
    *("empty", "buggy"),
    *("left-to-right", "rerank", "infill", "infill-rerank", "infill-region"),
    *(_SAMPLES, "gold"),
)
_NUM_BINS = 5


@dataclass(frozen=True, slots=True)
class Result:
    """What one results.json holds, and who answered."""

    benchmark: str
    model: str
    method: str
    headline: str
    others: tuple[str, ...]
    metrics: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    protocol: Mapping[str, Any]

    @property
    def rates(self) -> tuple[str, ...]:
        """The rates to show, the most important first."""
        pass_at = [name for name in self.metrics if name.startswith("pass@") and "interval" not in name]
        return (self.headline, *self.others, *pass_at)


@dataclass(frozen=True, slots=True)
class Cell:
    """A rate in [0, 1] and its interval, None where there is none."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Table:
    """Cells by model and method (down), and benchmark and rate (across); None where nothing was measured."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, tuple[Cell | None, ...]], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """A rate over the share of right-hand context: its mean there, and cells of each bin."""

    benchmark: str
    model: str
    method: str
    points: tuple[tuple[float, Cell], ...]


def load_results(paths: Sequence[Path]) -> list[Result]:
    """The results in files, or in folders that hold a results.json, in the order of methods.

    Two runs that answered the same in name are told apart by their folders.

    Raises:
        IncoderError: one is not there, or not a result.
    """
    found: dict[tuple[str, str, str], Result] = {}
    for path in paths:
        file = path / "results.json" if path.is_dir() else path
        result = _load(file)
        if (result.benchmark, result.model, result.method) in found:
            result = _load(file, model=f"{result.model} ({file.parent.name})")
        found[result.benchmark, result.model, result.method] = result
    return sorted(found.values(), key=lambda result: (result.model, _rank(result.method)))


def table(results: Sequence[Result]) -> Table:
    """Everything in one table; baselines, which no model answered, come first."""
    columns = list(dict.fromkeys((result.benchmark, rate) for result in results for rate in result.rates))
    columns.sort(key=lambda column: [result.benchmark for result in results].index(column[0]))
    cells: dict[tuple[str, str], dict[tuple[str, str], Cell]] = {}
    for result in results:
        row = cells.setdefault((result.model, result.method), {})
        for rate in result.rates:
            if rate in result.metrics:
                interval = result.metrics.get(f"{rate}_interval")
                row[result.benchmark, rate] = Cell(
                    result.metrics[rate], None if interval is None else (interval[0], interval[1])
                )
    used = tuple(column for column in columns if any(column in row for row in cells.values()))
    return Table(
        used,
        tuple(
            (model, method, tuple(row.get(column) for column in used))
            for (model, method), row in cells.items()
        ),
    )


def curves(results: Sequence[Result]) -> list[Curve]:
    """Headline rates over the share of lines behind the hole, in equal bins (paper, figure 3)."""
    found = []
    for result in results:
        points = [
            (row["right_context"], row["rates"][result.headline], row["problem"])
            for row in result.rows
            if row.get("right_context") is not None and row["rates"].get(result.headline) is not None
        ]
        bins = [
            [point for point in points if min(int(point[0] * _NUM_BINS), _NUM_BINS - 1) == number]
            for number in range(_NUM_BINS)
        ]
        if points:
            found.append(
                Curve(
                    result.benchmark,
                    result.model,
                    result.method,
                    tuple(_point(members) for members in bins if members),
                )
            )
    return found


def _point(members: Sequence[tuple[float, float, str]]) -> tuple[float, Cell]:
    places, rates, problems = zip(*members, strict=True)
    interval = cluster_bootstrap_interval(rates, problems)
    return sum(places) / len(places), Cell(sum(rates) / len(rates), interval)


def _load(path: Path, model: str | None = None) -> Result:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        baseline = path.parent.name if content["method"] == _SAMPLES else "(no model)"
        name = (content["model"] or {}).get("name", baseline)
        return Result(
            content["benchmark"],
            model or (Path(name).name or name),
            content["method"],
            content["headline"],
            tuple(content["others"]),
            content["metrics"],
            content["tasks"],
            {key: value for key, value in content.items() if key not in ("metrics", "tasks", "others")},
        )
    except OSError as error:
        raise IncoderError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IncoderError(f"{path} is not a results.json of incoder eval: {error!r}") from error


def _rank(method: str) -> int:
    return _METHODS.index(method) if method in _METHODS else len(_METHODS)
