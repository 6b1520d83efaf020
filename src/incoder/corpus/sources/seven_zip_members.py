"""The members of a 7z, in the order in which they are packed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from incoder.corpus.sources.members import ArchiveBomb, DamagedArchive, Limits, Members, Select
from incoder.corpus.sources.pulling import pulled
from incoder.errors import IncoderError
from incoder.extras import missing_extra

Sink = Callable[[bytes], None]


def members(path: Path, select: Select, limits: Limits) -> Members:
    """Yield the chosen members, each as a whole.

    Raises:
        ArchiveBomb: it unpacks to more than the limits.
        DamagedArchive: it is no 7z, is encrypted, or ends too early.
        IncoderError: py7zr is not installed.
    """

    def push(emit: Callable[[tuple[str, bytes | None]], None]) -> None:
        def finish(name: str, chunks: list[bytes]) -> None:
            emit((name, b"".join(chunks)))

        def opened(name: str) -> tuple[Sink, Callable[[], None]]:
            chunks = list[bytes]()
            return chunks.append, lambda: finish(name, chunks)

        unpack(path, select, limits, opened)

    yield from pulled(push)


def unpack(
    path: Path, select: Select, limits: Limits, opened: Callable[[str], tuple[Sink, Callable[[], None]]]
) -> None:
    """Give each chosen member's bytes, as they are unpacked, to the sink that `opened(name)` makes.

    `opened` returns the sink and what to call at the member's end.

    Raises:
        ArchiveBomb, DamagedArchive, IncoderError: see `members`.
    """
    py7zr = _py7zr()
    try:
        # A file, not a path: given a path, py7zr would unpack several folders in parallel.
        with path.open("rb") as file, py7zr.SevenZipFile(file, max_extract_size=limits.num_bytes) as archive:
            if chosen := _chosen(archive.list(), select, limits):
                archive.extract(targets=chosen, factory=_factory(py7zr, opened))
    except py7zr.exceptions.DecompressionBombError as error:
        raise ArchiveBomb from error
    except (ArchiveBomb, IncoderError):
        raise
    except Exception as error:  # py7zr raises exceptions of any type for a damaged header
        raise DamagedArchive from error


def _chosen(infos: list[Any], select: Select, limits: Limits) -> list[str]:
    if len(infos) > limits.num_members or sum(info.uncompressed for info in infos) > limits.num_bytes:
        raise ArchiveBomb
    return [
        info.filename
        for info in infos
        if not info.is_directory and select(info.filename, info.uncompressed, info.is_file)
    ]


def _factory(py7zr: Any, opened: Callable[[str], tuple[Sink, Callable[[], None]]]) -> Any:
    class Writer(py7zr.io.Py7zIO):  # type: ignore[misc]  # py7zr has no types
        def __init__(self, name: str) -> None:
            self._sink, self._finish = opened(name)

        def write(self, data: bytes | bytearray) -> int:
            self._sink(bytes(data))
            return len(data)

        def read(self, size: int | None = None) -> bytes:  # noqa: ARG002 - never asked for
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:  # noqa: ARG002 - to the start, at the end
            return 0

        def flush(self) -> None:
            pass

        def size(self) -> int:
            return 0

        def close(self) -> None:
            self._finish()

    class Factory(py7zr.io.WriterFactory):  # type: ignore[misc]
        def create(self, filename: str) -> Writer:
            return Writer(filename)

    return Factory()


def _py7zr() -> Any:
    try:
        import py7zr
        import py7zr.exceptions
        import py7zr.io
    except ImportError as error:
        raise missing_extra("7z archives need py7zr", "corpus") from error
    return py7zr
