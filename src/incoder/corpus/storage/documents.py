"""Documents in parquet, one row per document, with zstd: a split is one file, or several of 256 MB of text.

Their names are `train.parquet`, or `train-00000-of-00004.parquet` and so on.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from incoder.corpus.splits import SPLITS
from incoder.corpus.storage.arrow import pyarrow
from incoder.corpus.storage.commit import names_in_manifest
from incoder.document import Document
from incoder.errors import IncoderError

MANIFEST = "report.json"

_ROW_GROUP_BYTES = 16_000_000  # of text, held in memory on both sides
_BATCH_DOCUMENTS = 64


def documents_name(split: str, number: int, num_files: int) -> str:
    return f"{split}.parquet" if num_files == 1 else f"{split}-{number:05}-of-{num_files:05}.parquet"


def documents_files(folder: Path, split: str) -> list[Path]:
    """The files of one split of a corpus, in order, as its report names them.

    Raises:
        IncoderError: there is no finished corpus.
    """
    assert split in SPLITS, split
    if not (folder / MANIFEST).is_file():
        raise IncoderError(
            f"there is no corpus in {folder}; make one with: incoder corpus build RECIPE --output {folder}"
        )
    written = (folder / name for name in names_in_manifest(folder, MANIFEST))
    files = sorted(path for path in written if path.match(f"{split}*.parquet"))
    if not files or not all(path.is_file() for path in files):
        raise IncoderError(f"{folder} has lost the documents of {split}; build the corpus again")
    return files


def read_documents(folder: Path, split: str) -> Iterator[Document]:
    """Yield the documents of one split ("train" or "validation") in their order, with one batch in memory.

    Raises:
        IncoderError: there is no finished corpus, or its file cannot be read.
    """
    for path in documents_files(folder, split):
        yield from read_file(path)


def read_file(path: Path, row_groups: Sequence[int] | None = None) -> Iterator[Document]:
    """Yield the documents of one file, or of some of its row groups.

    Raises:
        IncoderError: it cannot be read.
    """
    with DocumentFile(path) as file:
        yield from file.documents(row_groups)


def sample_documents(folder: Path, split: str, num_documents: int, seed: int) -> Iterator[Document]:
    """Yield documents drawn at random without repetition, in the order of the corpus.

    Raises:
        IncoderError: see `read_documents`.
    """
    num_rows = 0
    for path in documents_files(folder, split):
        with DocumentFile(path) as file:
            num_rows += file.num_rows
    chosen = set(random.Random(seed).sample(range(num_rows), min(num_documents, num_rows)))
    for index, document in enumerate(read_documents(folder, split)):
        if index in chosen:
            yield document


class DocumentWriter:
    """Writes documents to a parquet file, at most one row group in memory."""

    def __init__(self, path: Path) -> None:
        self._pa, parquet = pyarrow()
        self._schema = _schema(self._pa)
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd", write_page_checksum=True)
        self._documents: list[Document] = []
        self._tables: list[Any] = []
        self._num_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def write(self, document: Document) -> None:
        self._documents.append(document)
        self._num_bytes += len(document.text)
        if self._num_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def write_table(self, table: Any) -> None:
        """Write the rows of a table that was read from such a file."""
        self._tables.append(table)
        self._num_bytes += table.column("text").nbytes
        if self._num_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._documents:
            self._tables.append(self._table_of(self._documents))
        if self._tables:
            table = self._pa.concat_tables(self._tables)
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._documents, self._tables, self._num_bytes = [], [], 0

    def _table_of(self, documents: list[Document]) -> Any:
        columns = {
            "text": [document.text for document in documents],
            "path": [document.path for document in documents],
            "project": [document.project for document in documents],
            "source": [document.source for document in documents],
            "licence": [document.licence for document in documents],
            "attributes": [list(document.attributes.items()) for document in documents],
            "stars": [document.stars for document in documents],
            "metadata": [list(document.metadata.items()) for document in documents],
        }
        return self._pa.Table.from_pydict(columns, schema=self._schema)


class DocumentFile:
    """A parquet file of documents, read by row groups; every method raises an IncoderError for damage."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            IncoderError: it cannot be read; so do all methods.
        """
        self._path = path
        with self._clear_errors():
            _, parquet = pyarrow()
            self._file = parquet.ParquetFile(path, page_checksum_verification=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def num_rows(self) -> int:
        return int(self._file.metadata.num_rows)

    @property
    def num_row_groups(self) -> int:
        return int(self._file.num_row_groups)

    def group_num_rows(self, group: int) -> int:
        return int(self._file.metadata.row_group(group).num_rows)

    def group_num_bytes(self, group: int) -> int:
        """The size of a row group before compression."""
        return int(self._file.metadata.row_group(group).total_byte_size)

    def read_row_group(self, group: int, columns: Sequence[str] | None = None) -> Any:
        """A row group as an Arrow table."""
        with self._clear_errors():
            return self._file.read_row_group(group, columns=None if columns is None else list(columns))

    def documents(self, row_groups: Sequence[int] | None = None) -> Iterator[Document]:
        """The documents, a batch in memory at a time."""
        batches = self._file.iter_batches(batch_size=_BATCH_DOCUMENTS, row_groups=row_groups)
        while True:
            with self._clear_errors():
                batch = next(batches, None)
                rows = [] if batch is None else batch.to_pylist()
            if batch is None:
                return
            yield from map(_document_of, rows)

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except IncoderError:
            raise
        except Exception as error:  # Arrow raises OSError, ArrowException, ValueError, UnicodeDecodeError
            message = str(error).partition("\n")[0] or type(error).__name__
            if self._path.exists():
                message = f"{message}; if it is damaged, build the corpus again"
            raise IncoderError(f"cannot read {self._path}: {message}") from error


def _document_of(row: Mapping[str, Any]) -> Document:
    return Document(
        text=row["text"],
        path=row["path"],
        project=row["project"],
        source=row["source"],
        licence=row["licence"],
        attributes=dict(row["attributes"]),
        stars=row.get("stars"),  # corpora of earlier versions have no column for stars and metadata
        metadata=dict(row.get("metadata") or ()),
    )


def _schema(pa: Any) -> Any:
    strings = pa.map_(pa.string(), pa.string())
    return pa.schema(
        [
            pa.field("text", pa.string(), nullable=False),
            pa.field("path", pa.string(), nullable=False),
            pa.field("project", pa.string(), nullable=False),
            pa.field("source", pa.string(), nullable=False),
            pa.field("licence", pa.string()),
            pa.field("attributes", strings, nullable=False),
            pa.field("stars", pa.int64()),
            pa.field("metadata", strings, nullable=False),
        ]
    )
