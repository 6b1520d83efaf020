"""SHA-256 of files, and whether those in a folder are still what was noted of them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from incoder.errors import IncoderError


def sha256_of(path: Path) -> str:
    """The digest of a file as hexadecimal digits; it is read a piece at a time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_files(folder: Path, sha256: Mapping[str, str], noted_in: str, remedy: str) -> None:
    """Complain unless each file of `sha256`, by its name in `folder`, has the digest that was noted of it.

    Raises:
        IncoderError: a file is gone, cannot be read, or is another one.
    """
    for name, expected in sorted(sha256.items()):
        path = folder / name
        try:
            found = sha256_of(path)
        except OSError as error:
            raise IncoderError(f"cannot read {path}: {error.strerror}; {remedy}") from error
        if found != expected:
            raise IncoderError(f"{path} is not what was written: {noted_in} has another SHA-256; {remedy}")
