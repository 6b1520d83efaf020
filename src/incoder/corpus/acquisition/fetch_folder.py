"""The folder of a fetch: its file names, and its state, opened by one process or read while another works."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from incoder.corpus.acquisition.state import TABLES, State
from incoder.errors import IncoderError
from incoder.files import make_folder
from incoder.output_folder import refuse_foreign

DATABASE = "state.sqlite"
FILES = "files"
MANIFEST = "manifest.parquet"
STAGING = "staging"  # files that are not in their place yet; leftovers of a killed run are removed

_LOCK = ".lock"


@contextmanager
def opened(folder: Path) -> Iterator[State]:
    """Lock a folder of a fetch and yield its state, until the block ends.

    Raises:
        IncoderError: another process has locked it, it cannot be written, the disk is full, or the folder
            holds foreign files that would be replaced.
    """
    try:
        with (make_folder(folder) / _LOCK).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise IncoderError(
                    f"another process is fetching into {folder}; wait for it, or take another folder"
                ) from error
            connection = sqlite3.connect(folder / DATABASE)
            try:
                _refuse_folder_of_others(folder, connection)
                connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {TABLES}")
                yield State(connection)
            finally:
                connection.close()
    except (OSError, sqlite3.Error) as error:
        raise IncoderError(
            f"cannot continue in {folder}: {_words(error)}; fetched files are kept: run the command again"
        ) from error


def _refuse_folder_of_others(folder: Path, connection: sqlite3.Connection) -> None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables:  # a new file: nothing has been fetched yet
        refuse_foreign(folder, (FILES, MANIFEST, STAGING))
    elif not {"settings", "steps", "repositories"} <= tables:
        refuse_foreign(folder, (DATABASE,))


@contextmanager
def looked_at(folder: Path) -> Iterator[State]:
    """Yield the state of a fetch for reading, also while another process is fetching.

    Raises:
        IncoderError: the folder has no state, or it cannot be read.
    """
    path = folder / DATABASE
    if not path.is_file():
        raise IncoderError(f"nothing was fetched into {folder}: it has no {DATABASE}")
    try:
        connection = sqlite3.connect(path)
        try:
            connection.execute("PRAGMA query_only = ON")
            yield State(connection)
        finally:
            connection.close()
    except (OSError, sqlite3.Error) as error:
        raise IncoderError(f"cannot read {path}: {_words(error)}") from error


def _words(error: OSError | sqlite3.Error) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
