"""The text files of one commit, read from a bare repository through `git cat-file --batch`.

A fetched commit goes in; paths and contents come out as the commit has them. Links, submodules, LFS pointers,
and binary, large and empty files are left out and counted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from incoder.corpus.acquisition.bounded_process import FetchError
from incoder.corpus.acquisition.git import Git

_CHUNK = 1 << 16
_MAX_PATH_BYTES = 4096
_BINARY_WITHIN = 8000  # bytes; a NUL in them makes a file binary, as in git's buffer_is_binary
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_MAX_POINTER_BYTES = 1024  # the maximum in the specification of LFS
_LINK, _SUBMODULE = b"120000", b"160000"


@dataclass(frozen=True, slots=True)
class FileLimits:
    """The files of a repository to keep, and the limits above which the whole repository fails.

    `extensions` are in lower case with their dots; none means any. A repository fails with more than
    `max_files` entries, or with more than `max_bytes` in the files to keep.
    """

    extensions: Sequence[str]
    max_file_bytes: int
    max_files: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file's path in its repository, and its bytes. Bytes of a path that are no UTF-8 are \\xNN."""

    path: str
    content: bytes


@dataclass(slots=True)
class LeftOut:
    """How many files and bytes were left out, by reason."""

    num_files: Counter[str] = field(default_factory=Counter)
    num_bytes: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, num_bytes: int) -> None:
        self.num_files[reason] += 1
        self.num_bytes[reason] += num_bytes

    def counts(self) -> dict[str, tuple[int, int]]:
        return {reason: (count, self.num_bytes[reason]) for reason, count in self.num_files.items()}


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    object_id: bytes


def read_files(
    git: Git, folder: Path, commit: str, limits: FileLimits, left_out: LeftOut, *, deadline: float
) -> Iterator[RepositoryFile]:
    """Yield the files of `commit` in git's order; files that are left out are counted in `left_out`.

    Raises:
        FetchError: the repository exceeds a limit, or is damaged.
        StoppedError, OSError: see `Git.fetch`.
    """
    entries = _entries(git, folder, commit, limits, left_out, deadline)
    fitting = _fitting(git, folder, entries, limits, left_out, deadline)
    for entry, content in _contents(git, folder, fitting, deadline):
        if b"\0" in content[:_BINARY_WITHIN]:
            left_out.add("binary", len(content))
        elif len(content) <= _MAX_POINTER_BYTES and content.startswith(_LFS_POINTER):
            left_out.add("LFS pointer", len(content))
        else:
            yield RepositoryFile(entry.path, content)


def _entries(
    git: Git, folder: Path, commit: str, limits: FileLimits, left_out: LeftOut, deadline: float
) -> list[_Entry]:
    """The commit's regular files whose names are usable and have one of the extensions."""
    entries = []
    words = ["ls-tree", "-r", "-z", "--full-tree", commit]
    with git.reading(words, folder, deadline=deadline) as output:
        for num_read, line in enumerate(_between_nuls(output), start=1):
            if num_read > limits.max_files:
                raise FetchError("too many files")
            head, _, name = line.partition(b"\t")
            mode, _, object_id = head.split(b" ")
            path = name.decode("utf-8", "backslashreplace")
            if mode in (_LINK, _SUBMODULE):
                left_out.add("symbolic link" if mode == _LINK else "submodule", 0)
            elif len(name) > _MAX_PATH_BYTES or {"..", ".", ""} & set(path.split("/")):
                left_out.add("unusable path", 0)
            elif limits.extensions and PurePosixPath(path).suffix.lower() not in limits.extensions:
                left_out.add("other extension", 0)
            else:
                entries.append(_Entry(path, object_id))
    return entries


def _between_nuls(output: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while chunk := output.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\0")
        yield from lines
        if len(rest) > 1 << 20:
            raise FetchError("damaged: a path of more than a megabyte")


def _fitting(
    git: Git, folder: Path, entries: Sequence[_Entry], limits: FileLimits, left_out: LeftOut, deadline: float
) -> list[_Entry]:
    """The entries that are neither too large nor empty; a large file may not have been fetched at all."""
    fitting, num_bytes = [], 0
    words = ["cat-file", "--buffer", "--batch-check=%(objecttype) %(objectsize)"]
    with git.reading(words, folder, deadline=deadline, asked=_asked(folder, entries)) as output:
        for entry in entries:
            kind, _, size = output.readline().rstrip(b"\n").partition(b" ")
            if size == b"missing" or (kind == b"blob" and int(size) > limits.max_file_bytes):
                left_out.add("too large", 0 if size == b"missing" else int(size))
            elif kind != b"blob":
                raise FetchError("damaged: a file is no blob")
            elif size == b"0":
                left_out.add("empty", 0)
            else:
                fitting.append(entry)
                num_bytes += int(size)
                if num_bytes > limits.max_bytes:
                    raise FetchError("too large")
    return fitting


def _contents(
    git: Git, folder: Path, entries: Sequence[_Entry], deadline: float
) -> Iterator[tuple[_Entry, bytes]]:
    words = ["cat-file", "--buffer", "--batch"]
    with git.reading(words, folder, deadline=deadline, asked=_asked(folder, entries)) as output:
        for entry in entries:
            head = output.readline().split()
            if len(head) != 3 or head[1] != b"blob":
                raise FetchError("damaged: a file cannot be read")
            size = int(head[2])
            content = output.read(size + 1)
            if len(content) != size + 1:
                raise FetchError("damaged: a file cannot be read")
            yield entry, content[:size]


def _asked(folder: Path, entries: Sequence[_Entry]) -> Path:
    """A file of object names as git's input: a pipe that we fill while we read could block both sides."""
    path = folder / "asked"
    path.write_bytes(b"".join(entry.object_id + b"\n" for entry in entries))
    return path
