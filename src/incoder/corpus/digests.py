"""Whether the files in a folder are still what was noted of them, by their SHA-256."""

from collections.abc import Mapping
from pathlib import Path

from incoder.errors import IncoderError
from incoder.files import sha256_of


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
