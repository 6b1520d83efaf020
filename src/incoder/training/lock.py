"""A run's folder belongs to one process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from incoder.errors import IncoderError
from incoder.files import make_folder


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Hold the folder for this process, since two writers would ruin each other's checkpoints.

    The kernel lets go of it when the process ends, however it ends.

    Raises:
        IncoderError: another process holds the folder, or it cannot be written.
    """
    try:
        lock = (make_folder(output) / ".lock").open("a")
    except OSError as error:
        raise IncoderError(f"cannot write into {output}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise IncoderError(f"another process is training into {output}") from error
        yield
