"""Writing files so that a crash, a full disk or Ctrl-C never leaves half of one behind; their digests."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from incoder.errors import IncoderError


@contextmanager
def replaced_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, renamed to `path` when the block ends without an error.

    The old content of `path` stays whole until the rename; its permissions are kept. A link is followed,
    so that it goes on pointing at the new content.

    Raises:
        IncoderError: the folder does not exist, cannot be written, or the disk is full.
    """
    target = path.resolve()
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            temporary = Path(file.name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # Last: safetensors may have renamed a file of its own to this, and the mode may forbid writing.
        temporary.chmod(target.stat().st_mode if target.exists() else 0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        raise IncoderError(f"cannot write {path}: {error.strerror or error}; nothing was changed") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the content of `path` atomically.

    Raises:
        IncoderError: see `replaced_atomically`.
    """
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Replace the content of `path` atomically with UTF-8 text, line endings as they are.

    Raises:
        IncoderError: see `replaced_atomically`.
    """
    write_bytes(path, content.encode("utf-8"))


def make_folder(path: Path) -> Path:
    """Make the folder and its parents where they are missing, and return it.

    Raises:
        IncoderError: a file is in the way, or a parent cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IncoderError(f"cannot make the folder {path}: {error.strerror or error}") from error
    return path


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def sha256_of(path: Path) -> str:
    """The digest of a file as hexadecimal digits; it is read a piece at a time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
