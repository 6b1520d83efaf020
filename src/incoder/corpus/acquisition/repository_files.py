"""Fetched files in parquet, one row per file with path and content.

Each repository is first written to a parquet file of its own; these are packed into partitions. The columns
are `COLUMNS`, compressed with zstd; row groups have a bounded size, so that reading takes little memory.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from incoder.corpus.acquisition.blobs import RepositoryFile
from incoder.corpus.acquisition.repository import Repository
from incoder.corpus.storage.arrow import pyarrow

# `content` is bytes, which may not be UTF-8. `licence`, `stars` and `language` are the repository's, as its
# host or the list states them; `size` is the length of `content`.
_REPOSITORY = ("licence", "stars", "language", "source", "url", "branch", "commit")
COLUMNS = ("repo", "path", "content", *_REPOSITORY, "size")

_ROW_GROUP_BYTES = 16_000_000
_READ_ROWS = 64


class FileWriter:
    """Writes files to parquet, with at most one row group in memory."""

    def __init__(self, path: Path) -> None:
        self._pa, parquet = pyarrow()
        self._schema = _schema(self._pa)
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[dict[str, object]] = []
        self._num_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, file: RepositoryFile, repository: Repository, *, branch: str | None, commit: str) -> None:
        self._rows.append(
            {
                "repo": repository.repo,
                "path": file.path,
                "content": file.content,
                "licence": repository.licence,
                "stars": repository.stars,
                "language": repository.language,
                "source": repository.source,
                "url": repository.url,
                "branch": branch,
                "commit": commit,
                "size": len(file.content),
            }
        )
        self._num_bytes += len(file.content) + len(file.path)
        if self._num_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._num_bytes = [], 0


def pack(sources: Iterable[Path], target: Path) -> None:
    """Join files that `FileWriter` wrote into one, with full row groups."""
    pa, parquet = pyarrow()
    schema = _schema(pa)
    group: list[Any] = []
    with parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for path in sources:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=_READ_ROWS):
                    group.append(batch)
                    if sum(batch.nbytes for batch in group) >= _ROW_GROUP_BYTES:
                        writer.write_table(pa.Table.from_batches(group, schema=schema))
                        group = []
        if group:
            writer.write_table(pa.Table.from_batches(group, schema=schema))


def put_in_place(temporary: Path, target: Path) -> None:
    """Rename a file after its content is on the disk, so that `target` never exists in part."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(target)


def _schema(pa: Any) -> Any:
    types = {
        "repo": pa.field("repo", pa.string(), nullable=False),
        "path": pa.field("path", pa.string(), nullable=False),
        "content": pa.field("content", pa.binary(), nullable=False),
        "stars": pa.field("stars", pa.int64()),
        "source": pa.field("source", pa.string(), nullable=False),
        "commit": pa.field("commit", pa.string(), nullable=False),
        "size": pa.field("size", pa.int64(), nullable=False),
    }
    return pa.schema([types.get(name, pa.field(name, pa.string())) for name in COLUMNS])
