"""The common part of the archive formats: how members are chosen, and how far an archive may unfold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

# Path and content of each chosen member; None for one that cannot be read while the others can.
Members = Iterator[tuple[str, bytes | None]]


class ArchiveBomb(Exception):  # noqa: N818 - what it is
    """The archive unfolds to more than its limits."""


class DamagedArchive(Exception):  # noqa: N818 - what it is
    """The archive cannot be read, or not to its end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may unfold to: members, and bytes that are unpacked, also to reach a wanted one."""

    num_members: int
    num_bytes: int


class Select(Protocol):
    """Whether a member is to be read; called once for each that is no folder, before any of it is read."""

    def __call__(self, path: str, num_bytes: int, is_regular: bool) -> bool: ...
