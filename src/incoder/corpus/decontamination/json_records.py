"""Records of a file that a recipe names: JSON lines, plain or in gzip, a JSON array, or parquet.

Unlike in a source, one invalid record is an error.
"""

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from incoder.corpus.storage.arrow import pyarrow
from incoder.errors import IncoderError
from incoder.files import parse_json


def read_text(path: Path) -> str:
    """The whole file, unpacked if it begins like gzip.

    Raises:
        IncoderError: the file cannot be read, or is no UTF-8.
    """
    try:
        return _unpacked(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise IncoderError(f"cannot read {path}: {error}") from error


def json_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield one record per line, element of the array, or row.

    Raises:
        IncoderError: the file cannot be read, or a line or an element is not a JSON object.
    """
    content = _unpacked(path)
    if content.startswith(b"PAR1"):
        yield from _rows(content, path)
        return
    text = read_text(path)
    if text.lstrip().startswith("["):
        yield from _elements(text, path)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _record(line, f"{path}, line {number}")


def _elements(text: str, path: Path) -> Iterator[dict[str, Any]]:
    try:
        elements = parse_json(text, path)
    except IncoderError as error:
        raise IncoderError(f"{path}: must be a JSON array ({error})") from error
    assert isinstance(elements, list), "it begins with a bracket"
    for number, element in enumerate(elements, start=1):
        if not isinstance(element, dict):
            raise IncoderError(f"{path}, element {number}: must be a JSON object, got {str(element)[:40]}")
        yield element


def _rows(content: bytes, path: Path) -> Iterator[dict[str, Any]]:
    pa, parquet = pyarrow()
    try:
        rows: list[dict[str, Any]] = parquet.read_table(io.BytesIO(content)).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise IncoderError(f"cannot read {path}: {error}") from error
    yield from rows


def _record(line: str, place: str) -> dict[str, Any]:
    try:
        record = parse_json(line, place)
    except IncoderError as error:
        raise IncoderError(f"{place}: must be a JSON object ({error})") from error
    if not isinstance(record, dict):
        raise IncoderError(f"{place}: must be a JSON object, got {line.strip()[:40]}")
    return record


def _unpacked(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError) as error:
        raise IncoderError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
