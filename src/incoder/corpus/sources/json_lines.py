"""JSON lines: one record per line, plain or compressed."""

import bz2
import gzip
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources.columns import ColumnMap
from incoder.corpus.sources.record_files import bounded_lines, existing_files
from incoder.corpus.sources.source_file import Dropped, OnDrop
from incoder.corpus.sources.source_settings import JsonLinesSource
from incoder.document import Document

_SUFFIXES = re.compile(r"\.(?:jsonl|ndjson)(?:\.(?:gz|bz2|zst))?$", re.IGNORECASE)
_ESCAPED = 6  # bytes of JSON for one byte of text, at most: \u00e9


@dataclass(frozen=True, slots=True)
class JsonLinesShard:
    """One file of records."""

    name: str
    path: Path
    num_bytes: int
    source: JsonLinesSource

    @property
    def paths(self) -> tuple[Path]:
        return (self.path,)

    def documents(self, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
        columns = ColumnMap(self.source, recipe, self.path)

        def dropped(place: str, num_bytes: int, reason: str) -> None:
            on_drop(Dropped(self.path.name, f"{self.path.name}{place}", num_bytes, reason))

        try:
            with _opened(self.path) as file:
                max_bytes = _ESCAPED * recipe.filters.max_file_bytes
                for number, (line, num_bytes) in enumerate(bounded_lines(file, max_bytes), start=1):
                    if line is None:
                        dropped(f":{number}", num_bytes, "too large")
                        continue
                    if not line.strip():
                        continue
                    record = _record(line)
                    if record is None:
                        dropped(f":{number}", num_bytes, "not a JSON record")
                        continue
                    for found in columns.documents(record):
                        if isinstance(found, Dropped):
                            on_drop(found)
                        else:
                            yield found
        except (OSError, EOFError, ValueError):
            dropped("", self.num_bytes, "damaged file")


def json_lines_shards(name: str, source: JsonLinesSource) -> list[JsonLinesShard]:
    """One shard for each file.

    Raises:
        IncoderError: the path is missing.
    """
    paths = existing_files(source.path, _SUFFIXES)
    return [
        JsonLinesShard(f"{name}/{number:06}-{path.name}", path, path.stat().st_size, source)
        for number, path in enumerate(paths)
    ]


def _opened(path: Path) -> IO[bytes]:
    match path.suffix.lower():
        case ".gz":
            return cast(IO[bytes], gzip.open(path))
        case ".bz2":
            return bz2.open(path)
        case ".zst":
            import pyarrow as pa

            stream = pa.input_stream(str(path), compression="zstd")
            return io.BufferedReader(stream)
        case _:
            return path.open("rb")


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
