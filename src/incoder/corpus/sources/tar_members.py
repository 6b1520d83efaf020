"""The members of a tar, plain or compressed, in one pass from its start to its end."""

import bz2
import gzip
import lzma
import tarfile
import zlib
from pathlib import Path
from typing import IO, Any

from incoder.corpus.sources.members import ArchiveBomb, DamagedArchive, Limits, Members, Select

_MAX_HEADER_BYTES = 1_000_000  # of a long name or of pax fields, which are read into memory at once
_HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


def members(path: Path, select: Select, limits: Limits) -> Members:
    """Yield the chosen members of a tar in any compression that Python and pyarrow know.

    Raises:
        ArchiveBomb: it unpacks to more than the limits.
        DamagedArchive: it is no tar, or ends too early.
    """
    try:
        with path.open("rb") as file, _unpacked(file) as stream:
            counted = _Counted(stream, limits.num_bytes)
            with tarfile.open(fileobj=counted, mode="r|", tarinfo=_TarInfo) as tar:  # type: ignore[call-overload]
                yield from _chosen(tar, select, limits)
                if counted.num_bytes < tar.offset:
                    raise DamagedArchive
    except (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise DamagedArchive from error


def _chosen(tar: tarfile.TarFile, select: Select, limits: Limits) -> Members:
    for number, member in enumerate(tar, start=1):
        if number > limits.num_members:
            raise ArchiveBomb
        if not member.isdir() and select(member.name, member.size, member.isreg()):
            content = tar.extractfile(member)
            assert content is not None, "a regular file has content"
            data = content.read()
            if len(data) < member.size:
                raise DamagedArchive
            yield member.name, data
        tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep all of them


class _TarInfo(tarfile.TarInfo):
    """A header; reading one that needs more memory than any honest header raises."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_TarInfo":
        header = super().frombuf(buf, encoding, errors)
        if header.type in _HEADERS and header.size > _MAX_HEADER_BYTES:
            raise ArchiveBomb
        return header


class _Counted:
    """A stream that raises `ArchiveBomb` after a number of bytes."""

    def __init__(self, stream: IO[bytes], max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self.num_bytes = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.num_bytes += len(data)
        if self.num_bytes > self._max_bytes:
            raise ArchiveBomb
        return data


def _unpacked(file: IO[bytes]) -> Any:
    beginning = file.read(6)
    file.seek(0)
    if beginning.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if beginning.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if beginning == b"\xfd7zXZ\x00":
        return lzma.LZMAFile(file)
    if beginning.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")
    return file
