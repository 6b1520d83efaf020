"""Every file that was left out, as a table beside the corpus: project, path, bytes, reason, detail.

The report counts drops and names a few; `incoder corpus build --drops` writes every one into this table.
"""

from collections.abc import Iterable
from pathlib import Path

from incoder.corpus.engine.work_folder import load, save
from incoder.corpus.report import Report, encodable
from incoder.corpus.sources.source_file import Dropped, DroppedProject, OtherFile
from incoder.corpus.storage.arrow import pyarrow

DROPS = "drops.parquet"

_Row = tuple[str, str, int, str, str]


class KeptDrops:
    """A report and, if `is_kept`, one row for each drop that it counts."""

    def __init__(self, is_kept: bool) -> None:
        self.report = Report()
        self._rows: list[_Row] | None = [] if is_kept else None

    def on_drop(self, dropped: Dropped | DroppedProject | OtherFile) -> None:
        self.report.on_drop(dropped)
        if self._rows is None or isinstance(dropped, OtherFile):
            return
        if isinstance(dropped, DroppedProject):
            row = (dropped.project, "", 0, dropped.reason, dropped.licence or "")
        else:
            row = (dropped.project, dropped.path, dropped.num_bytes, dropped.reason, dropped.detail)
        project, path, num_bytes, reason, detail = row
        self._rows.append((encodable(project), encodable(path), num_bytes, reason, encodable(detail)))

    def save(self, path: Path) -> None:
        if self._rows is not None:
            save(self._rows, path)


def write_drops(kept: Iterable[Path], path: Path) -> None:
    """Join the rows of all tasks into one table, with one task in memory at a time."""
    pa, parquet = pyarrow()
    names = ("project", "path", "num_bytes", "reason", "detail")
    types = (pa.string(), pa.string(), pa.int64(), pa.string(), pa.string())
    schema = pa.schema(list(zip(names, types, strict=True)))
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for file in kept:
            rows: list[_Row] = load(file)
            if rows:
                columns = [
                    pa.array(values, kind)
                    for values, kind in zip(zip(*rows, strict=True), types, strict=True)
                ]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
