"""A folder for the finished work of a run, which only the next run with the same input uses."""

import errno
import fcntl
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

from incoder.errors import IncoderError
from incoder.files import make_folder
from incoder.output_folder import refuse_foreign

WORK = ".work"

_CHECKSUM_BYTES = 4
_NO_LINKS = (
    errno.EPERM,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EMLINK,
    errno.ENOSYS,
    errno.EXDEV,
    errno.EACCES,
)

_LOCK = "lock"  # also distinguishes a folder of ours from a foreign one


class DamagedWorkError(IncoderError):
    """A file of an unfinished run is gone, or is not as it was written."""


@contextmanager
def work_folder(output: Path) -> Iterator[Path]:
    """Lock `.work` in the folder `output` for this process; it is deleted if the block ends without an error.

    Raises:
        IncoderError: another process has locked it, a foreign folder has its name, or it cannot be written.
    """
    folder = output / WORK
    made = _missing_folders(output)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _LOCK).is_file():
        refuse_foreign(output, [WORK])
    make_folder(folder)
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise IncoderError(f"another process is working in {output}; wait for it, or end it") from error
        try:
            yield folder
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name != _LOCK:
                    path.unlink(missing_ok=True)
        finally:
            if folder.is_dir() and {path.name for path in folder.iterdir()} <= {_LOCK}:
                shutil.rmtree(folder, ignore_errors=True)  # nothing to resume; the lock is removed last
                _remove_empty(made)


def _missing_folders(path: Path) -> list[Path]:
    """The folders of a path that do not exist yet, the innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return  # it is not empty


def run_folder(folder: Path, fingerprint: str) -> Path:
    """The folder of the run with this fingerprint; folders of other runs are deleted.

    So nothing that a stray worker of another run still writes can be taken for this run's work.
    """
    for other in folder.glob("run-*"):
        if other.name != f"run-{fingerprint}":
            shutil.rmtree(other, ignore_errors=True)
    return make_folder(folder / f"run-{fingerprint}")


@contextmanager
def finished(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which replaces `path` if the block ends without an error.

    Unlike files.py this does not force the content to the disk: work lost in a power cut is done again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save(value: Any, path: Path) -> None:
    """Write a value for later stages of the same run, with a checksum."""
    content = pickle.dumps(value)
    with finished(path) as temporary:
        temporary.write_bytes(crc32(content).to_bytes(_CHECKSUM_BYTES) + content)


def load(path: Path) -> Any:
    """Read a value that `save` wrote.

    Raises:
        DamagedWorkError: the file is gone, or is not as it was written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedWorkError(f"cannot read {path}: {error.strerror}") from error
    checksum, content = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
    if crc32(content).to_bytes(_CHECKSUM_BYTES) != checksum:
        raise DamagedWorkError(f"{path} is damaged; delete {path.parents[2]} and run this again")
    return pickle.loads(content)  # our own, written by `save`


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file or, on a file system without hard links, copy it."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)
