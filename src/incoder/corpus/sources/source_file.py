"""Listed files, before any is read, and records of files that are left out."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from incoder.errors import IncoderError


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to be read: `path` is within its project, `location` is on this machine.

    For a member of an archive or a row of parquet, `location` is the archive or the parquet file.
    """

    project: str
    path: str
    source: str
    location: Path
    num_bytes: int
    licence: str | None = None
    version: str | None = None
    stars: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dropped:
    """One file or document that was left out, with the reason; drops are counted by reason."""

    project: str
    path: str
    num_bytes: int
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DroppedProject:
    """A whole project that was left out, with the reason."""

    project: str
    version: str | None
    licence: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A file in one of the 28 languages that the recipe does not take."""

    project: str
    extension: str


def failure_of(error: Exception) -> str:
    """The reason to drop a document on which the code that reads it failed.

    Raises:
        IncoderError: the error is one that the user can mend.
    """
    if isinstance(error, IncoderError):
        raise error
    return f"failed: {type(error).__name__}"


OnDrop = Callable[[Dropped | DroppedProject | OtherFile], None]


def within_budget(
    files: Iterable[SourceFile], *, max_bytes: int | None, max_project_bytes: int | None, on_drop: OnDrop
) -> Iterator[SourceFile]:
    """Yield a random sample of files within both bounds.

    `files` must be in the order of their `drawing_key`, a random order that depends only on the seed and the
    names. A file that no longer fits is dropped; smaller ones after it may still be taken.
    """
    total, of_project = 0, defaultdict[str, int](int)
    for file in files:
        if max_project_bytes is not None and of_project[file.project] + file.num_bytes > max_project_bytes:
            on_drop(Dropped(file.project, file.path, file.num_bytes, "over max_project_bytes"))
        elif max_bytes is not None and total + file.num_bytes > max_bytes:
            on_drop(Dropped(file.project, file.path, file.num_bytes, "over max_bytes"))
        else:
            total += file.num_bytes
            of_project[file.project] += file.num_bytes
            yield file


def drawing_key(seed: int, file: SourceFile) -> str:
    """A sort key that puts files into a random order, which depends only on the seed and their names."""
    return f"{drawn(seed, file.project, file.path):016x}"


def drawn(*key: int | str) -> int:
    """A uniform draw from [0, 2**64) that depends only on the key: the same on every machine and run."""
    text = "\0".join(str(part) for part in key)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8])


def drawn_share(*key: int | str) -> float:
    """The same draw as a float in [0, 1).

    >>> drawn_share(7, "split", "requests") == drawn_share(7, "split", "requests")
    True
    """
    return (drawn(*key) >> 11) / (1 << 53)
