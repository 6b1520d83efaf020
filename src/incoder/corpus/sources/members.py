"""Limits and the choice of members, which all archive formats share."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

# Path and content of each chosen member; None for one that cannot be read while the others can.
Members = Iterator[tuple[str, bytes | None]]


class ArchiveBomb(Exception):  # noqa: N818 - what it is
    """The archive unpacks to more than its limits."""


class DamagedArchive(Exception):  # noqa: N818 - what it is
    """The archive cannot be read, or not to its end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an archive: its members, and all unpacked bytes, also those before a chosen member."""

    num_members: int
    num_bytes: int


class Select(Protocol):
    """Decides whether a member is read; called once for each member that is no folder, before it is read."""

    def __call__(self, path: str, num_bytes: int, is_regular: bool) -> bool: ...
