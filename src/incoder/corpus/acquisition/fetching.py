"""Fetches listed repositories in parallel and packs them into partitions; a kill loses only unfinished ones.

The order of writes makes this safe. A repository's files are renamed into `staging/` before the state records
them, and are deleted there only after the state records the partition that has them. When a fetch is resumed,
files that the state does not name are removed.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from incoder.corpus.acquisition.blobs import FileLimits, LeftOut, read_files
from incoder.corpus.acquisition.bounded_process import FetchError
from incoder.corpus.acquisition.fetch_folder import FILES, STAGING
from incoder.corpus.acquisition.git import Git
from incoder.corpus.acquisition.repository import Repository
from incoder.corpus.acquisition.repository_files import FileWriter, pack, put_in_place
from incoder.corpus.acquisition.state import Staged, State
from incoder.errors import IncoderError
from incoder.files import make_folder

_NETWORK = "network"
_MAX_NETWORK_FAILURES = 20  # consecutive ones


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Limits of a fetch.

    `timeout_seconds` is for one repository, from its first request to its last file. `files.max_bytes` bounds
    both its size on the disk and the size of its kept files. A partition is closed at `partition_bytes` of
    content.
    """

    files: FileLimits
    timeout_seconds: float
    num_workers: int
    partition_bytes: int = 256_000_000


OnDone = Callable[[Repository, Staged | None], None]


def fetch_repositories(
    folder: Path,
    state: State,
    git: Git,
    limits: FetchLimits,
    on_done: OnDone = lambda _repository, _staged: None,
) -> None:
    """Fetch the listed repositories into partitions in `folder`/files.

    Args:
        on_done: called after each repository, with None in place of its files if it failed.

    Raises:
        IncoderError: the folder holds partitions of another fetch, or the network seems to be down.
        OSError: the disk is full.
    """
    folder = folder.resolve()  # git runs in other working directories
    _recover(folder, state)
    run = _Run(folder, state, git, limits, on_done)
    with ThreadPoolExecutor(limits.num_workers) as pool:
        try:
            run.fetch_all(pool)
        except BaseException:
            git.stop()
            raise
    run.pack()
    _remove_all_but(folder / STAGING, [], folder)  # files that a git of a killed run was still writing


class _Run:
    def __init__(self, folder: Path, state: State, git: Git, limits: FetchLimits, on_done: OnDone) -> None:
        self._folder, self._state, self._git, self._limits = folder, state, git, limits
        self._on_done = on_done
        self._staged_bytes = sum(num_bytes for _, num_bytes in state.staged())
        self._num_network_failures = 0

    def fetch_all(self, pool: ThreadPoolExecutor) -> None:
        running: dict[Future[Staged], tuple[int, Repository]] = {}
        last = 0
        while True:
            while len(running) < self._limits.num_workers and (item := self._state.next_listed(last)):
                last, repository = item
                task = pool.submit(_fetch, self._folder, self._git, self._limits, last, repository)
                running[task] = item
            if not running:
                return
            for task in wait(running, return_when=FIRST_COMPLETED).done:
                self._note(task, *running.pop(task))
            if self._staged_bytes >= self._limits.partition_bytes:
                self.pack()

    def _note(self, task: Future[Staged], number: int, repository: Repository) -> None:
        try:
            staged = task.result()
        except FetchError as error:
            self._state.fail(number, str(error))
            self._on_done(repository, None)
            self._watch_network(str(error))
        else:
            self._state.stage(number, staged)
            self._staged_bytes += staged.num_bytes
            self._on_done(repository, staged)
            self._num_network_failures = 0

    def _watch_network(self, reason: str) -> None:
        """Stop if the network seems to be down, or else every repository would be recorded as failed."""
        self._num_network_failures = self._num_network_failures + 1 if reason.startswith(_NETWORK) else 0
        if self._num_network_failures >= _MAX_NETWORK_FAILURES:
            raise IncoderError(
                f"{_MAX_NETWORK_FAILURES} repositories in a row failed ({reason}); when the network is well, "
                "the same command with --retry-failed goes on"
            )

    def pack(self) -> None:
        """Move the staged files into a partition, if there are any."""
        numbers = [number for number, _ in self._state.staged()]
        if not numbers:
            return
        partition = self._state.begin_partition()
        target = _partition_file(self._folder, partition)
        temporary = self._folder / STAGING / "part"
        pack((_staged_file(self._folder, number) for number in numbers), temporary)
        put_in_place(temporary, target)
        self._state.finish_partition(partition, target.name, numbers)
        for number in numbers:
            _staged_file(self._folder, number).unlink()
        self._staged_bytes = 0


def _fetch(folder: Path, git: Git, limits: FetchLimits, number: int, repository: Repository) -> Staged:
    """Fetch one repository and stage its files; runs in a thread of its own."""
    deadline = time.monotonic() + limits.timeout_seconds
    clone = Path(tempfile.mkdtemp(dir=folder / STAGING, prefix=f"clone-{number}-"))
    left_out = LeftOut()
    num_files = num_bytes = 0
    try:
        branch, commit = git.fetch(
            repository,
            clone,
            deadline=deadline,
            max_bytes=limits.files.max_bytes,
            max_file_bytes=limits.files.max_file_bytes,
        )
        temporary = clone / "files.parquet"
        with FileWriter(temporary) as writer:
            for file in read_files(git, clone, commit, limits.files, left_out, deadline=deadline):
                writer.write(file, repository, branch=branch, commit=commit)
                num_files += 1
                num_bytes += len(file.content)
        if num_files:
            put_in_place(temporary, _staged_file(folder, number))
    except ValueError as error:  # git's output does not have the form that its manual describes
        raise FetchError(f"damaged: {type(error).__name__}") from error
    finally:
        shutil.rmtree(clone, ignore_errors=True)
    return Staged(branch, commit, num_files, num_bytes, left_out.counts())


def _recover(folder: Path, state: State) -> None:
    """Make the folder agree with the state, however the last run ended."""
    files, staging = make_folder(folder / FILES), make_folder(folder / STAGING)
    if not state.has_partitions() and next(files.glob("*.parquet"), None) is not None:
        raise IncoderError(f"{files} holds partitions of another fetch; take another folder")
    for partition in state.unfinished_partitions():
        _partition_file(folder, partition).unlink(missing_ok=True)
        state.forget_partition(partition)
    staged = [number for number, _ in state.staged()]
    state.list_again(_remove_all_but(staging, staged, folder))


def _remove_all_but(staging: Path, staged: Sequence[int], folder: Path) -> list[int]:
    """Remove the files of all repositories that are not `staged`; return staged numbers without a file."""
    keep = {_staged_file(folder, number): number for number in staged}
    for path in staging.iterdir():
        if path in keep:
            del keep[path]
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    return list(keep.values())


def _staged_file(folder: Path, number: int) -> Path:
    return folder / STAGING / f"{number}.parquet"


def _partition_file(folder: Path, partition: int) -> Path:
    return folder / FILES / f"part-{partition:06}.parquet"
