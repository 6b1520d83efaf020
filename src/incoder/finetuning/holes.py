"""The held-out holes: lines cut out of the files that no training sees, as tasks of a benchmark.

A quarter of the held-out groups of files has no holes: it chooses the weights that are kept, which must not
be chosen by the files that they are judged on.
"""

import hashlib
import json
from pathlib import Path
from random import Random
from typing import Any

from incoder.corpus.splits import VALIDATION, file_group
from incoder.corpus.storage.documents import read_documents
from incoder.corpus.text.languages import LANGUAGES, NOTEBOOK, extension_of
from incoder.evaluation.benchmark import Task
from incoder.evaluation.benchmark_files import load_tasks
from incoder.evaluation.building.holes import single_line, with_context
from incoder.evaluation.building.source_files import SourceText
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.files import make_folder, write_text

BENCHMARK = BENCHMARKS["single-line"]
_SHARE_THAT_CHOOSES = 4  # one group in four
MIN_HOLES = 200  # with fewer, a gain of some points is within the interval


def held_out_rows(corpus: Path, *, num_holes: int, context: int, seed: int) -> list[dict[str, Any]]:
    """Draw lines of the judged documents, at most `num_holes`; the same corpus and seed give the same.

    Raises:
        IncoderError: there is no finished corpus, or it cannot be read.
    """
    rows: dict[str, dict[str, Any]] = {}
    choosing = set(choosing_documents(corpus, seed))
    if len({file_group(document.path) for document in read_documents(corpus, VALIDATION)}) == 1:
        choosing = set()
    for number, document in enumerate(read_documents(corpus, VALIDATION)):
        extension = extension_of(document.path)
        if number in choosing or extension == NOTEBOOK:  # whose text has tags that nobody writes
            continue
        path = f"{document.project}/{document.path}"
        source = SourceText(path, LANGUAGES.get(extension, "text"), document.text)
        for row in single_line(source, Random(f"{seed} {path}")):
            rows[row["task_id"]] = dict(with_context(row, context))
    order = sorted(rows, key=lambda key: _digest(f"{seed} {key}"))
    chosen = {*order[:num_holes]}
    return [row for key, row in rows.items() if key in chosen]


def choosing_documents(corpus: Path, seed: int) -> list[int]:
    """Return the numbers of the held-out documents that choose the weights, in the order of the corpus.

    They are a quarter of the groups of files; a single group is judged on as well.

    Raises:
        IncoderError: there is no finished corpus, or it cannot be read.
    """
    groups = [file_group(document.path) for document in read_documents(corpus, VALIDATION)]
    in_order = sorted(set(groups), key=lambda group: _digest(f"{seed} choosing {group}"))
    chosen = {*in_order[: -(-len(in_order) // _SHARE_THAT_CHOOSES)]}
    return [number for number, group in enumerate(groups) if group in chosen]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def held_out_tasks(path: Path, rows: list[dict[str, Any]] | None = None) -> list[Task]:
    """Return the tasks in the file of holes, which is first written from `rows` if it is missing.

    Raises:
        IncoderError: the file cannot be written or read.
    """
    if rows is not None and not path.exists():
        make_folder(path.parent)
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return load_tasks(path, BENCHMARK)


def few_holes(num_holes: int) -> str:
    """Return the warning that a number of held-out holes is small."""
    return (
        f"warning: only {num_holes} holes are held out, so the intervals will be wide; {MIN_HOLES} or more "
        "are better: raise --held-out, or name more code"
    )
