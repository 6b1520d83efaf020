"""JSON lines that a user names in a recipe, plain or in gzip: unlike a source's, each must be right."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from incoder.errors import IncoderError


def read_text(path: Path) -> str:
    """The whole file, unpacked where it begins as gzip does.

    Raises:
        IncoderError: the file cannot be read, or is no UTF-8.
    """
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise IncoderError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def json_records(path: Path) -> Iterator[dict[str, Any]]:
    """One record a line.

    Raises:
        IncoderError: the file cannot be read, or a line is not a JSON object.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise IncoderError(f"{path}, line {number}: must be a JSON object ({error})") from error
        if not isinstance(record, dict):
            raise IncoderError(f"{path}, line {number}: must be a JSON object, got {line.strip()[:40]}")
        yield record
