"""Runs a fetch again and again, killed before its first, second, … write, and each time goes on from there.

A program of its own, so that it can be killed: FOLDER FIRST STEP URL… Every write that Python tells of counts
(files opened to write, renamed or removed, folders, statements of the state's database, programs started).
Prints how many writes a whole run takes; fails where a fetch that went on is not what it should be.
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyarrow import parquet

from incoder.corpus.acquisition.blobs import FileLimits
from incoder.corpus.acquisition.fetch_folder import opened
from incoder.corpus.acquisition.fetching import FetchLimits, fetch_repositories
from incoder.corpus.acquisition.git import Git
from incoder.corpus.acquisition.manifest import write_manifest
from incoder.corpus.acquisition.repository import Repository

LIMITS = FetchLimits(FileLimits((), 100_000, 1000, 10_000_000), 60, num_workers=2, partition_bytes=1500)
WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "subprocess.Popen"}

connect = sqlite3.connect


def count_writes(on_write: Callable[[], None]) -> None:
    """From now on call `on_write` before each write."""

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        to_write = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if to_write or event in WRITES:
            on_write()

    def traced(*arguments: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments)
        connection.set_trace_callback(lambda said: None if said.startswith("SELECT") else on_write())
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]
    sys.addaudithook(audit)


def fetch(folder: Path, urls: list[str]) -> None:
    git = Git({"PATH": os.environ["PATH"]})
    with opened(folder) as state:
        state.add(Repository("github", f"owner/r{n}", url) for n, url in enumerate(urls))
        fetch_repositories(folder, state, git, LIMITS)
        write_manifest(folder, state)


def run(folder: Path, urls: list[str], killed_at: int) -> int:
    """Fetch in a process that is killed before that write; how many it took, or 0 if it was."""
    ours, its = os.pipe()
    if (child := os.fork()) == 0:
        num_writes = 0

        def on_write() -> None:
            nonlocal num_writes
            num_writes += 1
            if num_writes == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)

        count_writes(on_write)
        fetch(folder, urls)
        os.write(its, str(num_writes).encode())
        os._exit(0)
    os.close(its)
    with os.fdopen(ours, "rb") as said:
        counted = said.read()
    _, status = os.waitpid(child, 0)
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, status
    return int(counted or 0)


def check(folder: Path, urls: list[str]) -> None:
    rows = [row for path in (folder / "files").iterdir() for row in parquet.read_table(path).to_pylist()]
    found = sorted((row["repo"], row["path"], len(row["content"])) for row in rows)
    expected = [
        (f"owner/r{n}", path, size) for n in range(len(urls)) for path, size in (("a.py", 6), ("b.py", 1000))
    ]
    assert found == expected, found
    assert not list((folder / "staging").iterdir())
    manifest = parquet.read_table(folder / "manifest.parquet").to_pylist()
    assert [row["outcome"] for row in manifest] == ["fetched"] * len(urls)
    kept = {"files", "staging", "manifest.parquet", "state.sqlite", ".lock"}
    assert {path.name for path in folder.iterdir()} == kept


def main() -> None:
    folder, first, step = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    urls = sys.argv[4:]
    num_writes = run(folder / "whole", urls, 0)
    for number in range(first, num_writes, step):
        run(folder / f"killed-{number}", urls, number)
        run(folder / f"killed-{number}", urls, 0)
        if os.fork() == 0:  # pyarrow's threads must not be there when the next one is forked
            check(folder / f"killed-{number}", urls)
            os._exit(0)
        _, status = os.wait()
        assert status == 0, f"killed before write {number}"
    print(num_writes)


main()
