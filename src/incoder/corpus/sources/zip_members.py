"""The members of a zip, by its central directory."""

import lzma
import stat
import zipfile
import zlib
from pathlib import Path

from incoder.corpus.sources.members import ArchiveBomb, DamagedArchive, Limits, Members, Select

_BAD_MEMBER = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError)


def members(path: Path, select: Select, limits: Limits) -> Members:
    """Yield the chosen members, with None for one that is damaged, encrypted or compressed in an unknown way.

    Raises:
        ArchiveBomb: the chosen members together unpack to more than the limits.
        DamagedArchive: it has no readable directory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if len(infos) > limits.num_members:
                raise ArchiveBomb
            chosen = [
                info
                for info in infos
                if not info.is_dir() and select(info.filename, info.file_size, _is_regular(info))
            ]
            if sum(info.file_size for info in chosen) > limits.num_bytes:
                raise ArchiveBomb
            for info in chosen:
                yield info.filename, _content(archive, info)
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        raise DamagedArchive from error


def _is_regular(info: zipfile.ZipInfo) -> bool:
    mode = info.external_attr >> 16
    return stat.S_IFMT(mode) in (0, stat.S_IFREG)  # 0: it was packed on Windows


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | None:
    """A member's content; at most the size that the directory states is read."""
    try:
        with archive.open(info) as file:
            content = file.read(info.file_size)
    except _BAD_MEMBER:
        return None
    return content if len(content) == info.file_size else None
