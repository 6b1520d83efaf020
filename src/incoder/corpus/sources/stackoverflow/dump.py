"""The rows of `Posts.xml` and `Comments.xml`, as files or inside 7z archives.

A dump has one `<row …/>` element per line. Only such lines are parsed, as elements without a document type:
entities are never expanded, nothing is ever fetched, and a damaged row does not affect the others.
"""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from xml.parsers import expat

from incoder.corpus.sources.members import ArchiveBomb, DamagedArchive, Limits
from incoder.corpus.sources.pulling import pulled
from incoder.corpus.sources.record_files import bounded_lines
from incoder.corpus.sources.seven_zip_members import Sink, unpack
from incoder.corpus.sources.source_file import Dropped, OnDrop
from incoder.errors import IncoderError

if TYPE_CHECKING:
    from typing_extensions import Buffer

Row = Mapping[str, str]
OnBadRow = Callable[[int, str], None]  # bytes, reason

TABLES = ("Posts.xml", "Comments.xml")

_MAX_ROW_BYTES = 10_000_000  # the site allows 30,000 characters per post
_BATCH_BYTES = 1_000_000
_UNPACKED = Limits(num_members=1000, num_bytes=1_000_000_000_000)


@dataclass(frozen=True, slots=True)
class Table:
    """One of the dump's tables: a file of its own, or a member of a 7z."""

    location: Path
    member: str | None = None

    def rows(self, on_bad_row: OnBadRow) -> Iterator[Row]:
        """Yield all rows that can be read; damage is reported to `on_bad_row`."""
        try:
            with self._opened() as file:
                yield from _rows(file, on_bad_row)
        except (OSError, DamagedArchive, ArchiveBomb):
            on_bad_row(self.location.stat().st_size, "damaged dump")

    def _opened(self) -> BinaryIO:
        if self.member is None:
            return self.location.open("rb")
        chunks = pulled(self._unpack)
        return io.BufferedReader(_Chunks(chunks), 1 << 20)

    def _unpack(self, emit: Sink) -> None:
        def select(path: str, num_bytes: int, is_regular: bool) -> bool:  # noqa: ARG001 - a Select
            return path == self.member and is_regular

        unpack(self.location, select, _UNPACKED, lambda _: (emit, lambda: None))


@dataclass(frozen=True, slots=True)
class Dump:
    """A site's posts and, if it has any, comments."""

    site: str
    posts: Table
    comments: Table | None


def find_dumps(path: Path, on_drop: OnDrop) -> list[Dump]:
    """The undamaged dumps at a path: a folder with the XML files, a 7z, or a folder of either.

    Raises:
        IncoderError: there is no `Posts.xml`, or only in damaged archives.
    """
    tables, damaged = dict[str, dict[str, Table]](), list[Path]()
    for site, name, table in sorted(_tables(path, damaged.append), key=lambda found: found[:2]):
        tables.setdefault(site, {}).setdefault(name, table)
    dumps = [
        Dump(site, found["Posts.xml"], found.get("Comments.xml"))
        for site, found in sorted(tables.items())
        if "Posts.xml" in found
    ]
    if damaged and not dumps:
        raise IncoderError(f"cannot read the dump {damaged[0]}: it is not a 7z archive, or it is damaged")
    if not dumps:
        raise IncoderError(
            f"the recipe's source {path} must be a Stack Exchange dump: a folder with Posts.xml and "
            "Comments.xml, or 7z archives of them"
        )
    for archive in damaged:
        on_drop(Dropped(site_of(archive.stem), archive.name, archive.stat().st_size, "damaged dump"))
    return dumps


def _tables(path: Path, on_damage: Callable[[Path], None]) -> Iterator[tuple[str, str, Table]]:
    if path.is_file():
        yield from _tables_in_archive(path, on_damage)
        return
    for name in TABLES:
        if (path / name).is_file():
            yield site_of(path.resolve().name), name, Table(path / name)
    for archive in sorted(path.glob("*.7z")):
        yield from _tables_in_archive(archive, on_damage)


def _tables_in_archive(path: Path, on_damage: Callable[[Path], None]) -> Iterator[tuple[str, str, Table]]:
    found = list[str]()

    def select(path: str, num_bytes: int, is_regular: bool) -> bool:  # noqa: ARG001 - a Select
        found.append(path)
        return False

    try:
        unpack(path, select, _UNPACKED, lambda _: (lambda _: None, lambda: None))
    except (DamagedArchive, ArchiveBomb):
        on_damage(path)
        return
    for member in found:
        name = member.rpartition("/")[2]
        if name in TABLES:
            yield site_of(path.stem), name, Table(path, member)


def site_of(name: str) -> str:
    """`stackoverflow.com-Posts` → `stackoverflow`, `coffee.stackexchange.com` → `coffee.stackexchange`."""
    return re.sub(r"\.(?:com|net|org)$", "", re.sub(r"-(?:Posts|Comments)$", "", name))


def _rows(file: BinaryIO, on_bad_row: OnBadRow) -> Iterator[Row]:
    for batch in _batches(bounded_lines(file, _MAX_ROW_BYTES), on_bad_row):
        try:
            rows = _parsed(b"".join(batch))
        except expat.ExpatError:
            rows = []
            for line in batch:
                try:
                    rows += _parsed(line)
                except expat.ExpatError:
                    on_bad_row(len(line), "damaged row")
        yield from rows


def _batches(lines: Iterable[tuple[bytes | None, int]], on_bad_row: OnBadRow) -> Iterator[list[bytes]]:
    """Yield the lines of rows by the megabyte: a parser for each line would take longer than parsing."""
    batch, num_bytes = list[bytes](), 0
    for line, length in lines:
        if line is None:
            on_bad_row(length, "too large")
        elif line.lstrip(b" \t\xef\xbb\xbf").startswith(b"<row"):
            batch.append(line)
            num_bytes += length
            if num_bytes >= _BATCH_BYTES:
                yield batch
                batch, num_bytes = [], 0
    if batch:
        yield batch


def _parsed(rows: bytes) -> list[Row]:
    found = list[Row]()

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "row":
            found.append(attributes)

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = start
    parser.Parse(b"<rows>" + rows + b"</rows>", True)
    return found


class _Chunks(io.RawIOBase):
    """A readable file of the bytes in an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        target = memoryview(buffer)
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        taken = min(len(target), len(self._rest))
        target[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken

    def close(self) -> None:
        if not self.closed:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        super().close()
