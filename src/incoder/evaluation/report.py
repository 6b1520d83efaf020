"""Reports: the results of several runs as a table, and as points of the figure.

As in the paper's tables, methods go down and tasks across, and every number has its interval; there is a row
for each method of each model. This module knows neither terminals nor HTML.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path, PurePath
from typing import Any

from incoder.errors import IncoderError
from incoder.evaluation.statistics import MIN_CLUSTERS, cluster_bootstrap_interval, why_no_interval

_SAMPLES = "samples"
_METHODS = (
    *("empty", "buggy"),
    *("left-to-right", "rerank", "infill", "infill-rerank", "infill-region"),
    *(_SAMPLES, "gold"),
)
BASELINES = ("gold", "empty", "buggy")
_NUM_BINS = 5  # bins of equal width over the share of right-hand context, as in the paper's figure 3
_PLAIN = "model"  # every training run calls the folder of its checkpoint this


@dataclass(frozen=True, slots=True)
class Result:
    """The content of one results.json; `place` is its index among the files on the command line."""

    benchmark: str
    model: str
    method: str
    headline: str
    others: tuple[str, ...]
    metrics: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    protocol: Mapping[str, Any]
    place: int = 0

    @property
    def model_name(self) -> str:
        """The model's folder or name, as the run recorded it."""
        return str((self.protocol.get("model") or {}).get("name", self.model))

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model's weights, "" without a model."""
        return str((self.protocol.get("model") or {}).get("fingerprint", ""))

    @property
    def rates(self) -> tuple[str, ...]:
        """The rates to show, the most important first."""
        pass_at = [name for name in self.metrics if re.fullmatch(r"pass@\d+", name)]
        return (self.headline, *self.others, *pass_at)


@dataclass(frozen=True, slots=True)
class Cell:
    """A rate in [0, 1] over `num_tasks` tasks, and its interval; if that is None, `missing` says why."""

    value: float
    interval: tuple[float, float] | None
    missing: str | None = None
    num_tasks: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Cells by model and method (down) and benchmark and rate (across); None if nothing was measured."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, tuple[Cell | None, ...]], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """A rate over the share of right-hand context: for each bin, the mean share and the rate."""

    benchmark: str
    model: str
    method: str
    points: tuple[tuple[float, Cell], ...]


def load_results(paths: Sequence[Path]) -> list[Result]:
    """Read results from files, or from folders with a results.json, and sort them by model and method.

    A model is labelled with the last part of its name, or with more parts if another model's name ends like
    it; a folder `model` is labelled with the run that contains it. If results have the same benchmark, label
    and method, the folder of their file is added to the label.

    Raises:
        IncoderError: a file does not exist, or is not a results.json.
    """
    files = [path / "results.json" if path.is_dir() else path for path in paths]
    loaded = [replace(_load(file), place=place) for place, file in enumerate(files)]
    labels = _labels({(result.model_name, result.fingerprint) for result in loaded})
    found: dict[tuple[str, str, str], Result] = {}
    for file, result in zip(files, loaded, strict=True):
        model = labels[result.model_name, result.fingerprint]
        names = (name for name in _names(model, file) if (result.benchmark, name, result.method) not in found)
        model = next(names)
        found[result.benchmark, model, result.method] = replace(result, model=model)
    return sorted(found.values(), key=lambda result: (result.model, _rank(result.method)))


def table(results: Sequence[Result]) -> Table:
    """All results in one table."""
    columns = list(dict.fromkeys((result.benchmark, rate) for result in results for rate in result.rates))
    columns.sort(key=lambda column: [result.benchmark for result in results].index(column[0]))
    cells: dict[tuple[str, str], dict[tuple[str, str], Cell]] = {}
    for result in results:
        row = cells.setdefault((result.model, result.method), {})
        for rate in result.rates:
            if rate in result.metrics:
                row[result.benchmark, rate] = _cell(result, rate)
    used = tuple(column for column in columns if any(column in row for row in cells.values()))
    return Table(
        used,
        tuple(
            (model, method, tuple(row.get(column) for column in used))
            for (model, method), row in cells.items()
        ),
    )


def curves(results: Sequence[Result]) -> list[Curve]:
    """The headline rates over the share of lines after the hole, in equal bins (paper, figure 3)."""
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


def _cell(result: Result, rate: str) -> Cell:
    interval, num_tasks = result.metrics.get(f"{rate}_interval"), result.metrics.get(f"{rate}_num_tasks")
    if interval is not None:
        return Cell(result.metrics[rate], (interval[0], interval[1]), None, num_tasks)
    missing = result.metrics.get(f"{rate}_interval_missing")
    return Cell(result.metrics[rate], None, missing or _why_missing(result), num_tasks)


def _why_missing(result: Result) -> str:
    """The reason for a file of an earlier version, which does not have it."""
    problems = {row["problem"] for row in result.rows}
    return why_no_interval([*problems]) if len(problems) < MIN_CLUSTERS else "its file holds none"


def _labels(models: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A short label for each model, by its name and the fingerprint of its weights."""
    names = {name for name, _ in models}
    labels = {}
    for name, fingerprint in models:
        parts = [part for part in PurePath(name).parts if part not in ("/", ".")] or [name]
        size = 2 if parts[-1] == _PLAIN and len(parts) > 1 else 1
        while size < len(parts) and any(
            PurePath(other).parts[-size:] == tuple(parts[-size:]) for other in names - {name}
        ):
            size += 1
        shown = parts[-size:][: -1 if parts[-1] == _PLAIN and size > 1 else None]
        is_alone = sum(other == name for other, _ in models) == 1
        labels[name, fingerprint] = "/".join(shown) + ("" if is_alone else f" [{fingerprint[:8]}]")
    return labels


def _names(model: str, file: Path) -> Iterator[str]:
    """Yield a model's label, then the label with more and more of its results' folder, then with numbers."""
    yield model
    parts = file.absolute().parent.parts
    for size in range(1, len(parts)):
        yield f"{model} ({'/'.join(parts[-size:])})"
    yield from (f"{model} ({number})" for number in count(2))


def _point(members: Sequence[tuple[float, float, str]]) -> tuple[float, Cell]:
    places, rates, problems = zip(*members, strict=True)
    interval = cluster_bootstrap_interval(rates, problems)
    return sum(places) / len(places), Cell(sum(rates) / len(rates), interval)


def _load(path: Path) -> Result:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        baseline = path.parent.name if content["method"] == _SAMPLES else "(no model)"
        return Result(
            content["benchmark"],
            (content["model"] or {}).get("name", baseline),
            content["method"],
            content["headline"],
            tuple(content["others"]),
            content["metrics"],
            content["tasks"],
            {key: value for key, value in content.items() if key not in ("metrics", "tasks", "others")},
        )
    except OSError as error:
        raise IncoderError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IncoderError(f"{path} is not a results.json of incoder eval: {error!r}") from error


def _rank(method: str) -> int:
    return _METHODS.index(method) if method in _METHODS else len(_METHODS)
