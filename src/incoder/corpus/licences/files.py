"""The licence of each file of a project on disk, from the licence files in its folders.

The nearest folder with a licence file decides, so a licence file in a subfolder applies to that subfolder.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from incoder.corpus.licences.expressions import allows
from incoder.corpus.licences.texts import LICENCE_FILE, recognised_licence
from incoder.corpus.sources.source_file import Dropped, DroppedProject, OnDrop, SourceFile
from incoder.corpus.sources.source_settings import LICENCE_FROM_TEXT, FolderSource, GitSource

MAX_LICENCE_BYTES = 200_000

# Folders with licence files to what these say together; None where one of them is not recognised.
FolderLicences = Mapping[PurePosixPath, str | None]


def with_detected_licences(
    files: Iterable[SourceFile],
    source: FolderSource | GitSource,
    licences: Collection[str],
    on_drop: OnDrop,
) -> Iterator[SourceFile]:
    """Yield the files under an allowed licence if the source detects licences, or else all files."""
    if source.licence != LICENCE_FROM_TEXT:
        yield from files
        return
    of_folder = dict[Path, str | None]()  # absolute folders that have licence files
    seen = set[Path]()
    reported = set[str]()
    for file in files:
        top = _top_of(file, source)
        folders = [file.location.parent, *file.location.parent.parents]
        inside = [folder for folder in folders if folder == top or top in folder.parents]
        for folder in inside:
            if folder not in seen:
                seen.add(folder)
                if (found := _licences_in(folder)) is not None:
                    of_folder[folder] = joined_licences(found)
        nearest = next((folder for folder in inside if folder in of_folder), top)
        yield from allowed(file, of_folder.get(nearest), nearest == top, licences, reported, on_drop)


def allowed(
    file: SourceFile,
    licence: str | None,
    is_of_project: bool,
    licences: Collection[str],
    reported: set[str],
    on_drop: OnDrop,
) -> Iterator[SourceFile]:
    """Yield the file with its licence, if the listed licences suffice for it.

    Otherwise the project is reported, once, or the file if the licence is a subfolder's. `reported` has the
    projects that were reported.
    """
    if licence is not None and allows(licence, licences):
        yield replace(file, licence=licence)
        return
    reason = "unknown licence" if licence is None else "licence not allowed"
    if not is_of_project:
        on_drop(Dropped(file.project, file.path, file.num_bytes, f"{reason} of its folder"))
    elif file.project not in reported:
        reported.add(file.project)
        on_drop(DroppedProject(file.project, None, licence, reason))


def joined_licences(found: Collection[str | None]) -> str | None:
    """The expression for licences that all apply; None if there are none, or if one is unknown."""
    known = sorted(licence for licence in found if licence is not None)
    return " AND ".join(known) if known and len(known) == len(found) else None


def _top_of(file: SourceFile, source: FolderSource | GitSource) -> Path:
    """The top folder of the file's project."""
    root = source.path.resolve()
    if source.projects != "entries":
        return root
    entry = root / file.location.relative_to(root).parts[0]
    return entry if entry != file.location else root


def _licences_in(folder: Path) -> set[str | None] | None:
    """The licence of each licence file in a folder; None if the folder has no licence file."""
    found, has_any = set[str | None](), False
    try:
        for path in sorted(folder.iterdir()):
            if not LICENCE_FILE.fullmatch(path.name) or not path.is_file() or path.is_symlink():
                continue
            has_any = True
            is_small = path.stat().st_size <= MAX_LICENCE_BYTES
            text = path.read_text(encoding="utf-8", errors="replace") if is_small else ""
            found.add(recognised_licence(text))
    except OSError:
        return {None}
    return found if has_any else None
