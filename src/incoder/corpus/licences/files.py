"""The licence of a project on disk, from the licence file at its top."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from incoder.corpus.licences.metadata import allows
from incoder.corpus.licences.texts import LICENCE_FILE, recognised_licence
from incoder.corpus.sources.source_file import DroppedProject, OnDrop, SourceFile
from incoder.corpus.sources.source_settings import LICENCE_FROM_TEXT, FolderSource, GitSource

MAX_LICENCE_BYTES = 200_000


def with_detected_licences(
    files: Iterable[SourceFile],
    source: FolderSource | GitSource,
    licences: Collection[str],
    on_drop: OnDrop,
) -> Iterator[SourceFile]:
    """The files of projects with an allowed licence, where the source asks to detect it; else all files."""
    if source.licence != LICENCE_FROM_TEXT:
        yield from files
        return
    by_entries = isinstance(source, FolderSource) and source.projects == "entries"
    allowed = dict[str, str | None]()
    for file in files:
        if file.project not in allowed:
            top = source.path / file.path.partition("/")[0] if by_entries else source.path
            allowed[file.project] = allowed_licence(file.project, _licence_in(top), licences, on_drop)
        if licence := allowed[file.project]:
            yield replace(file, licence=licence)


def allowed_licence(
    project: str, licence: str | None, licences: Collection[str], on_drop: OnDrop
) -> str | None:
    """The licence where the listed ones suffice for it; else None, and the project is reported."""
    if licence is not None and allows(licence, licences):
        return licence
    reason = "unknown licence" if licence is None else "licence not allowed"
    on_drop(DroppedProject(project, None, licence, reason))
    return None


def _licence_in(folder: Path) -> str | None:
    """What all licence files at the top of a folder say, or None where one of them is not recognised."""
    found = set[str | None]()
    try:
        paths = [path for path in sorted(folder.iterdir()) if LICENCE_FILE.fullmatch(path.name)]
        for path in paths:
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_LICENCE_BYTES:
                found.add(recognised_licence(path.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return None
    return joined_licences(found)


def joined_licences(found: Collection[str | None]) -> str | None:
    """The expression for files that must all be obeyed; None where there is none, or one is unknown."""
    known = sorted(licence for licence in found if licence is not None)
    return " AND ".join(known) if known and len(known) == len(found) else None
