"""A benchmark file from a folder of code: rows by one construction, each held to what the benchmark reads."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from incoder.errors import IncoderError
from incoder.evaluation.building.functions import functions_of
from incoder.evaluation.building.rows import BUILDERS, Row
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.files import make_folder, write_text

OnFunction = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Built:
    """Where the rows are, how many, and what was met on the way."""

    path: Path
    num_rows: int
    counts: dict[str, int]


def build(
    task: str,
    folder: Path,
    output: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    on_function: OnFunction | None = None,
) -> Built:
    """Write the rows of one benchmark to its file in `output`, and beside it how they were made.

    With a `limit` that many rows are drawn. The same folder and seed give the same bytes.

    Raises:
        IncoderError: there are no functions with what this benchmark asks for.
    """
    benchmark, counts, rows = BENCHMARKS[task], Counter[str](), dict[str, Row]()
    for number, function in enumerate(functions_of(folder, counts), start=1):
        row = BUILDERS[task](function, Random(f"{seed} {function.key}"))
        if row is not None and (read := benchmark.read(row, number)) is not None:
            rows[read.key] = row
        if on_function is not None:
            on_function(number)
    if not rows:
        raise IncoderError(
            f"no function of {folder} makes a row of {task}; of {counts['files']} files that could be read "
            f"there are {counts['functions']} functions"
        )
    keys = list(rows)
    if limit is not None:
        drawn = sorted(keys, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
        chosen = {*drawn[:limit]}
        keys = [key for key in keys if key in chosen]
    path = make_folder(output) / benchmark.file_name
    lines = "".join(json.dumps(rows[key]) + "\n" for key in keys)
    write_text(path, lines)
    told = {"task": task, "seed": seed, "num_rows": len(keys), "counts": dict(sorted(counts.items()))}
    told["sha256"] = hashlib.sha256(lines.encode()).hexdigest()
    write_text(path.with_suffix(".build.json"), json.dumps(told, indent=1) + "\n")
    return Built(path, len(keys), dict(counts))
