"""A folder for what a run has done so far: used again by the next run of the same thing, and by no other."""

import fcntl
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from incoder.errors import IncoderError
from incoder.files import make_folder
from incoder.output_folder import refuse_foreign

WORK = ".work"

_LOCK = "lock"  # also distinguishes a folder of ours from a foreign one


@contextmanager
def work_folder(output: Path) -> Iterator[Path]:
    """Hold `.work` in the folder `output` for this process; it goes when the block ends without an error.

    Raises:
        IncoderError: another process holds it, a foreign folder has its name, or it cannot be written.
    """
    folder = output / WORK
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


def run_folder(folder: Path, fingerprint: str) -> Path:
    """The folder of the run with this fingerprint; those of runs with others are deleted.

    What a forgotten worker of another run still writes can thus never be taken for this run's.
    """
    for other in folder.glob("run-*"):
        if other.name != f"run-{fingerprint}":
            shutil.rmtree(other, ignore_errors=True)
    return make_folder(folder / f"run-{fingerprint}")


@contextmanager
def finished(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path` when the block ends without an error.

    Unlike files.py it leaves it to the system when to write to disk: what a power cut takes is done again.
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
    """Keep a value for later stages of the same run."""
    with finished(path) as temporary:
        temporary.write_bytes(pickle.dumps(value))


def load(path: Path) -> Any:
    return pickle.loads(path.read_bytes())  # our own, written by `save`
