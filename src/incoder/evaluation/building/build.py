"""Build a benchmark file from a folder of code; the benchmark must be able to read every row."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from incoder.errors import IncoderError
from incoder.evaluation.building.function_rows import BUILDERS, Row
from incoder.evaluation.building.functions import functions_of
from incoder.evaluation.building.holes import FILE_BUILDERS, with_context
from incoder.evaluation.building.python_holes import PYTHON_FILE_BUILDERS
from incoder.evaluation.building.source_files import source_files
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.files import make_folder, sha256_of, write_text
from incoder.output_folder import refuse_foreign, written_with

OnSource = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Built:
    """The file of rows, their number, and the counts of sources and of what was left out."""

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
    context: int | None = None,
    on_source: OnSource | None = None,
) -> Built:
    """Write the rows of one benchmark to its file in `output`, and how they were made to a file next to it.

    With a `limit`, this number of rows is drawn at random. With a `context`, rows of files have about this
    number of characters before the hole, and half of it after the hole, instead of the whole file. The same
    folder and seed produce the same bytes. `on_source` is called with the number of functions or files that
    were read.

    Raises:
        IncoderError: no function or file makes a row of this benchmark; or `output` has a file of another
            program, or one that was changed after it was built, and writing would replace it.
    """
    path = output / BENCHMARKS[task].file_name
    made_by = path.with_suffix(".build.json")
    names = (path.name, made_by.name)
    refuse_foreign(output, names, ours=names if _is_as_built(path, made_by) else ())
    benchmark, counts, rows = BENCHMARKS[task], Counter[str](), dict[str, Row]()
    for number, made in enumerate(_rows(task, folder, counts, seed, context), start=1):
        for row in made:
            if (read := benchmark.read(row, number)) is not None:
                rows[read.key] = row
        if limit is not None and len(rows) > 2 * limit:  # a row may hold a whole file
            rows = _drawn(rows, limit, seed)
        if on_source is not None:
            on_source(number)
    if not rows:
        sources = f"{counts['files']} files that could be read"
        if task in BUILDERS:
            sources += f" with {counts['functions']} functions"
        raise IncoderError(f"nothing in {folder} makes a row of {task}; there are {sources}")
    if limit is not None:
        rows = _drawn(rows, limit, seed)
    keys = list(rows)
    lines = "".join(json.dumps(rows[key]) + "\n" for key in keys)
    make_folder(output)
    write_text(path, lines)
    record = {"task": task, "seed": seed, "num_rows": len(keys), "counts": dict(sorted(counts.items()))}
    record |= {} if context is None else {"context": context}
    record["sha256"] = hashlib.sha256(lines.encode()).hexdigest()
    write_text(made_by, json.dumps(record, indent=1) + "\n")
    return Built(path, len(keys), dict(counts))


def _is_as_built(path: Path, made_by: Path) -> bool:
    """Whether the file is unchanged since an earlier build; a user may have added rows to it."""
    if not written_with(made_by, "task", "counts", "sha256"):
        return False
    return not path.exists() or json.loads(made_by.read_bytes())["sha256"] == sha256_of(path)


def _drawn(rows: dict[str, Row], limit: int, seed: int) -> dict[str, Row]:
    """Draw `limit` of the rows and keep their order; the choice does not depend on rows that are left out."""
    order = sorted(rows, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
    chosen = {*order[:limit]}
    return {key: row for key, row in rows.items() if key in chosen}


def _rows(
    task: str, folder: Path, counts: Counter[str], seed: int, context: int | None
) -> Iterator[list[Row]]:
    """Yield the rows of each function or of each file, in order."""
    builders = FILE_BUILDERS | PYTHON_FILE_BUILDERS
    if task in builders:
        for source in source_files(folder, counts):
            rows = builders[task](source, Random(f"{seed} {source.path}"))
            yield rows if context is None else [with_context(row, context) for row in rows]
        return
    for function in functions_of(folder, counts):
        row = BUILDERS[task](function, Random(f"{seed} {function.key}"))
        yield [] if row is None else [row]
