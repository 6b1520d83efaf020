"""The last stage: reads a group of input shards; writes the kept documents, one file for each split."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from incoder.corpus.deduplication.near import NEAR_DUPLICATE
from incoder.corpus.deduplication.one_pass import DUPLICATE
from incoder.corpus.drops import KeptDrops
from incoder.corpus.engine.stage import OnBytes
from incoder.corpus.engine.work_folder import DamagedWorkError, finished, load, save
from incoder.corpus.report import Report
from incoder.corpus.sources.source_file import Dropped
from incoder.corpus.splits import SPLITS, Division
from incoder.corpus.stages.find_duplicates import EXACT, NEAR, duplicates_of_shard, name_of
from incoder.corpus.stages.run_paths import (
    damaged_file,
    decisions_file,
    documents_file,
    drops_file,
    write_report_file,
    written_file,
)
from incoder.corpus.storage.documents import DocumentFile, DocumentWriter
from incoder.corpus.text.stars import StarBins
from incoder.errors import IncoderError
from incoder.files import sha256_of

REASONS = {EXACT: DUPLICATE, NEAR: NEAR_DUPLICATE}


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions that need all shards; `num_partitions` has the partitions of each search, by its name."""

    division: Division
    num_partitions: dict[str, int]
    star_bins: StarBins


@dataclass(frozen=True, slots=True)
class WriteResult:
    """A task's counts of written documents and dropped duplicates, and the SHA-256 of each split's file."""

    report: Report
    num_documents: Counter[tuple[str, str]]  # by split and project
    num_bytes: Counter[tuple[str, str]]
    sha256: dict[str, str]


@dataclass(frozen=True, slots=True)
class Write:
    """The work of this stage: one group of consecutive input shards per task."""

    run: Path
    groups: tuple[range, ...]
    keeps_drops: bool = False

    def __call__(self, task: int, on_bytes: OnBytes) -> None:
        decisions: Decisions = load(decisions_file(self.run))
        drops = KeptDrops(self.keeps_drops)
        result = WriteResult(drops.report, Counter(), Counter(), {})
        with ExitStack() as stack:
            paths = {
                split: stack.enter_context(finished(written_file(self.run, task, split))) for split in SPLITS
            }
            with ExitStack() as open_files:
                writers = {
                    split: open_files.enter_context(DocumentWriter(path)) for split, path in paths.items()
                }
                for shard in self.groups[task]:
                    self._copy(shard, decisions, writers, result, drops, on_bytes)
            for split, path in paths.items():
                result.sha256[split] = sha256_of(path)
        drops.save(drops_file(self.run, "write", task))
        save(result, write_report_file(self.run, task))

    def is_whole(self, task: int) -> bool:
        """Whether the task's files are as they were written: damage would become part of the corpus."""
        try:
            result: WriteResult = load(write_report_file(self.run, task))
            if self.keeps_drops:
                load(drops_file(self.run, "write", task))
            return all(
                sha256_of(written_file(self.run, task, split)) == digest
                for split, digest in result.sha256.items()
            )
        except (DamagedWorkError, OSError):
            return False

    def _copy(
        self,
        shard: int,
        decisions: Decisions,
        writers: dict[str, DocumentWriter],
        result: WriteResult,
        drops: KeptDrops,
        on_bytes: OnBytes,
    ) -> None:
        duplicates = {
            row: (REASONS[search], kept)
            for search, num_partitions in decisions.num_partitions.items()
            for row, kept in duplicates_of_shard(self.run, shard, search, num_partitions).items()
        }
        first = 0
        with DocumentFile(documents_file(self.run, shard)) as file:
            for group in range(file.num_row_groups):
                try:
                    table = file.read_row_group(group)
                except IncoderError:
                    damaged_file(self.run, shard).parent.mkdir(exist_ok=True)
                    damaged_file(self.run, shard).touch()  # the build then reads the shard again
                    raise
                rows = dict[str, list[int]]({split: [] for split in SPLITS})
                for row, (project, path, num_bytes) in enumerate(_names_and_sizes(table)):
                    if duplicate := duplicates.get(first + row):
                        drops.on_drop(self._dropped(project, path, num_bytes, *duplicate, result.report))
                        continue
                    split = decisions.division.split_of(project, path)
                    rows[split].append(row)
                    result.num_documents[split, project] += 1
                    result.num_bytes[split, project] += num_bytes
                for split, kept in rows.items():
                    if kept:
                        taken = table.take(np.array(kept))
                        writers[split].write_table(_with_stars(taken, decisions.star_bins))
                first += table.num_rows
                on_bytes(table.column("text").nbytes)

    def _dropped(
        self, project: str, path: str, num_bytes: int, reason: str, kept: int | None, report: Report
    ) -> Dropped:
        detail = ""
        if kept is not None and report.takes_examples_of(reason):  # looking up every name would take long
            detail = "duplicate of {}: {}".format(*name_of(self.run, kept))
        return Dropped(project, path, num_bytes, reason, detail)


def _with_stars(table: Any, bins: StarBins) -> Any:
    """The table with the attribute `dstars` in the documents that have it."""
    stars = table.column("stars")
    if stars.null_count == len(stars) or not bins.bounds:
        return table
    import pyarrow as pa

    names = ("project", "path", "source", "stars")
    found = [bins.bin(*row) for row in zip(*(table.column(name).to_pylist() for name in names), strict=True)]
    attributes = [
        own if number is None else [*own, ("dstars", str(number))]
        for own, number in zip(table.column("attributes").to_pylist(), found, strict=True)
    ]
    place = table.schema.get_field_index("attributes")
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(attributes, field.type))


def _names_and_sizes(table: Any) -> Iterator[tuple[str, str, int]]:
    import pyarrow.compute as pc

    sizes = pc.binary_length(table.column("text")).to_pylist()
    return zip(table.column("project").to_pylist(), table.column("path").to_pylist(), sizes, strict=True)
