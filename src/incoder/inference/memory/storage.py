"""Indexes on disk: one folder per project and vocabulary in a cache folder, readable by the user alone.

A folder holds the segments, each named after its content, and a manifest that names them. Files appear whole
(temporary name, then renamed), the manifest last, so a reader sees an old index or a new one even if a writer
is killed. Writers take turns by a lock that ends with its process. A damaged index counts as missing.
Deletes nothing but files of these names.
"""

import errno
import fcntl
import hashlib
import json
import mmap
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incoder.errors import IncoderError
from incoder.files import parse_json
from incoder.inference.memory.index import IndexedFile, ProjectIndex
from incoder.inference.memory.segment import Segment, Span, token_width

DEFAULT_MAX_BYTES = 500_000_000

_FORMAT = 1
_MANIFEST = "manifest.json"
_SEGMENT = ".segment"
_TEMPORARY = ".tmp-"
_LOCK = "lock"
_MAX_AGE_S = 3600.0  # of a temporary file; an older one was left by a process that was killed
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


class DamagedIndexError(Exception):
    """An index on disk is not what was written."""


@dataclass(frozen=True, slots=True)
class StoredProject:
    """One stored index: of which project, how large, and when it was last used (seconds since 1970)."""

    root: str
    folder: Path
    num_files: int
    num_tokens: int
    num_bytes: int
    last_used: float


def project_key(root: Path, vocabulary: str) -> str:
    """The name of a project's folder: the same project has one for each vocabulary."""
    name = os.fsencode(root.resolve()) + b"\0" + vocabulary.encode()
    return hashlib.blake2b(name, digest_size=16).hexdigest()


def read_index(folder: Path, vocab_size: int) -> ProjectIndex | None:
    """The index in a project's folder, memory-mapped; None if there is none.

    Raises:
        DamagedIndexError: there is one, and it is not whole.
        IncoderError: the folder is not the user's own, or cannot be read.
    """
    path = folder / _MANIFEST
    try:
        _check_private(folder)
        with _locked(folder.parent, fcntl.LOCK_SH):  # or a writer would remove what the manifest names
            if not path.exists():
                return None
            manifest = _manifest(path)
            if manifest["format"] != _FORMAT:
                return None
            segments = tuple(_open_segment(folder, one, vocab_size) for one in manifest["segments"])
        for segment, about in zip(segments, manifest["segments"], strict=True):
            if _name_of(segment) != about["name"]:
                raise DamagedIndexError(f"{about['name']} has other content than was written")
        files = {name: _file_of(entry, segments) for name, entry in manifest["files"].items()}
        index = ProjectIndex(files, segments, int(manifest["num_left_out"]))
    except FileNotFoundError as error:
        if not path.exists():
            return None
        raise DamagedIndexError(f"{error.filename} is missing") from error
    except OSError as error:
        raise IncoderError(f"cannot read {error.filename or folder}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedIndexError(str(error)) from error
    with suppress(OSError):
        os.utime(path)  # the last use
    return index


def _manifest(path: Path) -> Any:
    try:
        return parse_json(path.read_bytes(), path)
    except IncoderError as error:
        raise DamagedIndexError(str(error)) from error


def write_index(folder: Path, index: ProjectIndex, root: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
    """Store an index in place of the project's last one, then remove the least recently used ones.

    Raises:
        IncoderError: the folder cannot be written, is not the user's own, or the index alone is larger than
            `max_bytes`.
    """
    num_bytes = sum(len(segment.data) for segment in index.segments)
    if num_bytes > max_bytes:
        raise IncoderError(f"the index has {num_bytes:,} bytes, and {max_bytes:,} are allowed")
    try:
        _make_private(folder.parent)
        with _locked(folder.parent):
            _make_private(folder)
            names = [_name_of(segment) for segment in index.segments]
            for name, segment in zip(names, index.segments, strict=True):
                if not (folder / name).exists():
                    _write(folder / name, segment.data)
            manifest = {
                "format": _FORMAT,
                "root": str(root.resolve()),
                "num_left_out": index.num_left_out,
                "num_files": index.num_files,
                "num_tokens": index.num_tokens,
                "segments": [
                    {"name": name, "num_places": segment.num_places, "num_positions": segment.num_positions}
                    for name, segment in zip(names, index.segments, strict=True)
                ],
                "files": {path: _entry_of(file) for path, file in index.files.items()},
            }
            _write(folder / _MANIFEST, json.dumps(manifest, separators=(",", ":")).encode())
            _remove_others(folder, {*names, _MANIFEST})
            _evict(folder.parent, folder, max_bytes)
    except OSError as error:
        raise IncoderError(f"cannot write {error.filename or folder}: {error.strerror or error}") from error


def discard(folder: Path) -> None:
    """Remove a damaged index, so that nothing of it is used again; what cannot be removed stays."""
    with suppress(OSError), _locked(folder.parent):
        _remove(folder)


def stored_projects(parent: Path) -> list[StoredProject]:
    """The stored indexes, most recently used first; a damaged one counts no files."""
    found = []
    for folder in _project_folders(parent):
        try:
            content = _manifest(folder / _MANIFEST)
            about = str(content["root"]), int(content["num_files"]), int(content["num_tokens"])
        except (OSError, DamagedIndexError, ValueError, KeyError, TypeError):
            about = "", 0, 0
        root, num_files, num_tokens = about
        found.append(StoredProject(root, folder, num_files, num_tokens, _size(folder), _last_used(folder)))
    return sorted(found, key=lambda project: (-project.last_used, project.folder))


def clear(parent: Path, root: Path | None = None) -> list[StoredProject]:
    """Remove the stored indexes of a project, or all; return what was removed.

    Raises:
        IncoderError: something cannot be removed.
    """
    chosen = None if root is None else str(root.resolve())
    try:
        if not parent.exists():
            return []
        with _locked(parent):
            removed = [one for one in stored_projects(parent) if chosen in (None, one.root)]
            for project in removed:
                _remove(project.folder)
    except OSError as error:
        raise IncoderError(f"cannot remove {error.filename or parent}: {error.strerror or error}") from error
    return removed


def _open_segment(folder: Path, about: Mapping[str, Any], vocab_size: int) -> Segment:
    name, num_places, num_positions = about["name"], int(about["num_places"]), int(about["num_positions"])
    if name != Path(name).name or not name.endswith(_SEGMENT):
        raise DamagedIndexError(f"{name!r} is no name of a segment")
    width = token_width(vocab_size)
    with (folder / name).open("rb") as file:
        size = num_places * width + 4 * num_positions
        if os.fstat(file.fileno()).st_size != size or not size:
            raise DamagedIndexError(f"{name} does not have {size} bytes")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return Segment(data, num_places, num_positions, width)


def _file_of(entry: list[Any], segments: tuple[Segment, ...]) -> IndexedFile:
    size, modified_ns, inode, digest, segment, start, length = entry
    if segment is not None:
        has_span = 0 <= segment < len(segments) and 0 < start <= start + length < segments[segment].num_places
        if not has_span:
            raise DamagedIndexError(f"no segment {segment} has {length} tokens at {start}")
    return IndexedFile((size, modified_ns, inode), digest, segment, Span(start, length))


def _entry_of(file: IndexedFile) -> list[Any]:
    return [*file.signature, file.digest, file.segment, file.span.start, file.span.length]


def _name_of(segment: Segment) -> str:
    return hashlib.blake2b(segment.data, digest_size=16).hexdigest() + _SEGMENT


def _make_private(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=_PRIVATE_FOLDER)
    _check_private(folder)
    folder.chmod(_PRIVATE_FOLDER)


def _check_private(folder: Path) -> None:
    """Refuse a folder that others could have put there."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise IncoderError(f"{folder} is not a folder of this user; project memory is stored nowhere else")


def _write(path: Path, data: bytes | mmap.mmap) -> None:
    temporary = path.with_name(f"{_TEMPORARY}{os.getpid()}-{path.name}")
    with suppress(FileNotFoundError):
        temporary.unlink()
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def _locked(parent: Path, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock on the folder of all projects; opening, writing and removing take milliseconds."""
    descriptor = os.open(parent / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, _PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


def _project_folders(parent: Path) -> list[Path]:
    try:
        return [folder for folder in sorted(parent.iterdir()) if folder.is_dir() and not folder.is_symlink()]
    except FileNotFoundError:
        return []


def _evict(parent: Path, kept: Path, max_bytes: int) -> None:
    folders = sorted(_project_folders(parent), key=lambda folder: (folder != kept, -_last_used(folder)))
    total = 0
    for folder in folders:
        total += _size(folder)
        if total > max_bytes and folder != kept:
            _remove(folder)


def _ours(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name == _MANIFEST or path.name.endswith(_SEGMENT) or path.name.startswith(_TEMPORARY):
            yield path


def _remove_others(folder: Path, kept: set[str]) -> None:
    for path in list(_ours(folder)):
        is_being_written = path.name.startswith(_TEMPORARY) and time.time() - _modified(path) < _MAX_AGE_S
        if path.name not in kept and not is_being_written:
            path.unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    (folder / _MANIFEST).unlink(missing_ok=True)  # first: without it the rest counts as missing
    for path in list(_ours(folder)):
        path.unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):  # somebody's own files stay
            raise


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in _ours(folder) if path.exists())


def _last_used(folder: Path) -> float:
    return _modified(folder / _MANIFEST)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
