"""Documents in parquet: `train.parquet` and `validation.parquet`, one row a document, zstd."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from incoder.corpus.splits import SPLITS
from incoder.document import Document
from incoder.errors import IncoderError

SEAL = "report.json"

_ROW_GROUP_BYTES = 16_000_000  # of text, held in memory on both sides
_BATCH_DOCUMENTS = 64


def documents_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.parquet"


def read_documents(folder: Path, split: str) -> Iterator[Document]:
    """The documents of one split ("train" or "validation") in their order, a batch in memory at a time.

    Raises:
        IncoderError: there is no finished corpus, or its file cannot be read.
    """
    file = _open(folder, split)
    for batch in file.iter_batches(batch_size=_BATCH_DOCUMENTS):
        for row in batch.to_pylist():
            yield Document(
                text=row["text"],
                path=row["path"],
                project=row["project"],
                source=row["source"],
                licence=row["licence"],
                attributes=dict(row["attributes"]),
            )


def sample_documents(folder: Path, split: str, num_documents: int, seed: int) -> Iterator[Document]:
    """Documents drawn at random without repetition, in the order of the corpus.

    Raises:
        IncoderError: see `read_documents`.
    """
    num_rows = _open(folder, split).metadata.num_rows
    chosen = set(random.Random(seed).sample(range(num_rows), min(num_documents, num_rows)))
    for index, document in enumerate(read_documents(folder, split)):
        if index in chosen:
            yield document


class DocumentWriter:
    """Writes documents to a parquet file, at most one row group in memory."""

    def __init__(self, path: Path) -> None:
        self._pa, parquet = _pyarrow()
        self._schema = _schema(self._pa)
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._num_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def write(self, document: Document) -> None:
        self._rows.append(
            {
                "text": document.text,
                "path": document.path,
                "project": document.project,
                "source": document.source,
                "licence": document.licence,
                "attributes": list(document.attributes.items()),
            }
        )
        self._num_bytes += len(document.text)
        if self._num_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._num_bytes = [], 0


def _schema(pa: Any) -> Any:
    return pa.schema(
        [
            pa.field("text", pa.string(), nullable=False),
            pa.field("path", pa.string(), nullable=False),
            pa.field("project", pa.string(), nullable=False),
            pa.field("source", pa.string(), nullable=False),
            pa.field("licence", pa.string()),
            pa.field("attributes", pa.map_(pa.string(), pa.string()), nullable=False),
        ]
    )


def _open(folder: Path, split: str) -> Any:
    assert split in SPLITS, split
    if not (folder / SEAL).is_file():
        raise IncoderError(
            f"there is no corpus in {folder}; make one with: incoder corpus build RECIPE --output {folder}"
        )
    path = documents_file(folder, split)
    pa, parquet = _pyarrow()
    try:
        return parquet.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise IncoderError(f"cannot read {path}: {error}") from error


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise IncoderError("a corpus needs pyarrow: pip install 'incoder[corpus]'") from error
    return pa, parquet
