"""Parquet files of records: each row group is an input shard; only the needed columns are read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources.columns import FILES_OF_ROW, ColumnMap, names_of
from incoder.corpus.sources.record_files import existing_files
from incoder.corpus.sources.source_file import Dropped, OnDrop
from incoder.corpus.sources.source_settings import ParquetSource
from incoder.corpus.storage.arrow import pyarrow
from incoder.document import Document
from incoder.errors import IncoderError

_SUFFIXES = re.compile(r"\.parquet$", re.IGNORECASE)
_BATCH_ROWS = 64


@dataclass(frozen=True, slots=True)
class ParquetShard:
    """One row group of one file."""

    name: str
    path: Path
    row_group: int
    num_bytes: int
    source: ParquetSource

    @property
    def paths(self) -> tuple[Path]:
        return (self.path,)

    def documents(self, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
        pa, parquet = pyarrow()
        columns = ColumnMap(self.source, recipe, self.path)
        try:
            with parquet.ParquetFile(self.path) as file:
                batches = file.iter_batches(
                    batch_size=1 if self.source.columns in FILES_OF_ROW else _BATCH_ROWS,
                    row_groups=[self.row_group],
                    columns=_needed(self.source, file.schema_arrow.names),
                )
                for batch in batches:
                    for row in range(batch.num_rows):
                        for found in self._of_row(batch.slice(row, 1), columns):
                            if isinstance(found, Dropped):
                                on_drop(found)
                            else:
                                yield found
        except (OSError, pa.ArrowException):
            on_drop(Dropped(self.path.name, self.path.name, self.num_bytes, "damaged file"))

    def _of_row(self, row: Any, columns: ColumnMap) -> list[Document | Dropped]:
        """The documents of one row. Converting row by row avoids a second copy of a whole batch in memory."""
        try:
            (record,) = row.to_pylist()
        except UnicodeDecodeError:  # Arrow does not check the encoding of texts
            return [Dropped(self.path.name, self.path.name, row.nbytes, "not UTF-8")]
        return columns.documents(record)


def parquet_shards(name: str, source: ParquetSource, on_drop: OnDrop) -> Iterator[ParquetShard]:
    """One shard for each row group.

    A file that cannot be opened is dropped, and so is one without the columns if another file has them.

    Raises:
        IncoderError: the path is missing, or no file has a column for the text and the path.
    """
    pa, parquet = pyarrow()
    fits, problems = False, dict[Path, IncoderError]()
    for number, path in enumerate(existing_files(_with_files(source.path), _SUFFIXES)):
        try:
            with parquet.ParquetFile(path) as file:
                _check_columns(path, source, file.schema_arrow)
                groups = [
                    file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups)
                ]
        except (OSError, pa.ArrowException):
            on_drop(Dropped(path.name, path.name, path.stat().st_size, "damaged file"))
            continue
        except IncoderError as problem:
            problems[path] = problem
            continue
        fits = True
        for group, num_bytes in enumerate(groups):
            yield ParquetShard(f"{name}/{number:06}-{group:06}-{path.name}", path, group, num_bytes, source)
    if problems and not fits:
        raise next(iter(problems.values()))
    for path in problems:
        on_drop(Dropped(path.name, path.name, path.stat().st_size, "no column for text or path"))


def _with_files(path: Path) -> Path:
    """The folder `files` in a folder of `incoder corpus fetch`, which has other tables as well."""
    files = path / "files"
    return files if (path / "manifest.parquet").is_file() and files.is_dir() else path


def _check_columns(path: Path, source: ParquetSource, schema: Any) -> None:
    there = set(schema.names)
    if FILES_OF_ROW.get(source.columns) in there:
        return
    for field in ("text", "path"):
        names = names_of(source)[field]
        if not any(name.partition(".")[0] in there for name in names):
            raise IncoderError(
                f"{path} must have a column {' or '.join(names)} for the {field} with columns = "
                f'"{source.columns}", got {", ".join(schema.names)}; '
                f'choose another map, or name it: column_names = {{ {field} = "…" }}'
            )


def _needed(source: ParquetSource, there: list[str]) -> list[str]:
    needed = {name.partition(".")[0] for names in names_of(source).values() for name in names}
    needed.add(FILES_OF_ROW.get(source.columns, ""))
    return [name for name in there if name in needed]
