"""Documents from tar, zip and 7z archives, without unpacking them to disk.

Archives are not trusted: members whose names lead out of the archive, links, members with false sizes, and
archives that unpack to far more than their size on disk are left out with the reason. From a damaged archive
the members before the damage are taken.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from incoder.corpus.licences.files import MAX_LICENCE_BYTES, FolderLicences, allowed, joined_licences
from incoder.corpus.licences.texts import LICENCE_FILE, recognised_licence
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources import seven_zip_members, tar_members, zip_members
from incoder.corpus.sources.exclusions import exclusion_of
from incoder.corpus.sources.folders import is_taken
from incoder.corpus.sources.members import ArchiveBomb, DamagedArchive, Limits, Members, Select
from incoder.corpus.sources.reading import document_of
from incoder.corpus.sources.record_files import existing_files
from incoder.corpus.sources.source_file import Dropped, OnDrop, SourceFile
from incoder.corpus.sources.source_settings import LICENCE_FROM_TEXT, ArchiveSource
from incoder.document import Document

_SUFFIXES = re.compile(r"\.(?:tar(?:\.(?:gz|bz2|xz|zst))?|tgz|tbz2?|txz|tzst|zip|whl|7z)$", re.IGNORECASE)
_MIN_BUDGET = 100_000_000  # bytes that every archive may unpack to


@dataclass(frozen=True, slots=True)
class ArchiveShard:
    """One archive."""

    name: str
    path: Path
    num_bytes: int
    source: ArchiveSource
    project: str  # its name if the whole archive is one project

    @property
    def paths(self) -> tuple[Path]:
        return (self.path,)

    def documents(self, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
        licences = self._detected() if self.source.licence == LICENCE_FROM_TEXT else None
        select = self._wanted(recipe, licences, on_drop)
        for path, content in self._members(select, on_drop):
            if content is None:
                on_drop(self._dropped(path, 0, "damaged member"))
                continue
            found = document_of(self._file(path, len(content), licences), content, recipe)
            if isinstance(found, Dropped):
                on_drop(found)
            else:
                yield found

    def _members(self, select: Select, on_drop: OnDrop) -> Members:
        limits = Limits(
            num_members=self.source.max_members,
            num_bytes=max(_MIN_BUDGET, self.source.max_ratio * self.num_bytes),
        )
        try:
            yield from _format_of(self.path)(self.path, select, limits)
        except ArchiveBomb:
            on_drop(self._dropped("", self.num_bytes, "archive bomb"))
        except DamagedArchive:
            on_drop(self._dropped("", self.num_bytes, "damaged archive"))

    def _wanted(self, recipe: CorpusRecipe, licences: FolderLicences | None, on_drop: OnDrop) -> Select:
        extensions, exclusion = recipe.taken_extensions, exclusion_of(recipe)
        reported = set[str]()

        def select(path: str, num_bytes: int, is_regular: bool) -> bool:
            if not is_taken(path, self._project(path), extensions, on_drop):
                return False
            reason = None
            if not is_safe(path):
                reason = "path leads out of the archive"
            elif not is_regular:
                reason = "not a regular file"
            elif num_bytes > recipe.filters.max_file_bytes:
                reason = "too large"
            else:
                reason = exclusion(self._file(path, num_bytes, None))
            if reason is not None:
                on_drop(self._dropped(path, num_bytes, reason))
                return False
            if licences is None:
                return True
            file, folder = self._file(path, num_bytes, licences), _nearest(path, licences)
            is_of_project = folder is None or len(folder.parts) <= 1
            return any(allowed(file, file.licence, is_of_project, recipe.licences, reported, on_drop))

        return select

    def _detected(self) -> FolderLicences:
        """The licence of each folder in the archive that has licence files."""
        found = dict[PurePosixPath, set[str | None]]()

        def select(path: str, num_bytes: int, is_regular: bool) -> bool:
            member = PurePosixPath(path)
            if not is_regular or not LICENCE_FILE.fullmatch(member.name):
                return False
            if num_bytes > MAX_LICENCE_BYTES:
                found.setdefault(member.parent, set()).add(None)
                return False
            return True

        for path, content in self._members(select, lambda _: None):
            text = (content or b"").decode("utf-8", "replace")
            found.setdefault(PurePosixPath(path).parent, set()).add(recognised_licence(text))
        return {folder: joined_licences(licences) for folder, licences in found.items()}

    def _project(self, path: str) -> str:
        if self.source.projects == "entries" and path:
            return path.partition("/")[0]
        return self.project

    def _file(self, path: str, num_bytes: int, licences: FolderLicences | None) -> SourceFile:
        project = self._project(path)
        licence = self.source.licence
        if licences is not None:
            folder = _nearest(path, licences)
            licence = None if folder is None else licences[folder]
        return SourceFile(project, path, "archive", self.path, num_bytes, licence)

    def _dropped(self, path: str, num_bytes: int, reason: str) -> Dropped:
        return Dropped(self._project(path), path or self.path.name, num_bytes, reason)


def _nearest(path: str, licences: FolderLicences) -> PurePosixPath | None:
    """The nearest folder above a member that has licence files."""
    return next((folder for folder in PurePosixPath(path).parents if folder in licences), None)


def archive_shards(name: str, source: ArchiveSource) -> list[ArchiveShard]:
    """One shard for each archive.

    Raises:
        IncoderError: the path is missing.
    """
    paths = existing_files(source.path, _SUFFIXES)
    shards = list[ArchiveShard]()
    for number, path in enumerate(paths):
        unique, project = f"{name}/{number:06}-{path.name}", _project_of(path, source.path)
        shards.append(ArchiveShard(unique, path, path.stat().st_size, source, project))
    return shards


def _project_of(archive: Path, root: Path) -> str:
    """The archive's path below the source without its suffix, so that `x/r.zip` and `y/r.zip` differ."""
    name = archive.name if archive == root else archive.relative_to(root).as_posix()
    return _SUFFIXES.sub("", name)


def is_safe(path: str) -> bool:
    """Whether a member's path stays inside its archive on every system.

    >>> is_safe("pkg/a.py"), is_safe("../a.py"), is_safe("C:/a.py")
    (True, False, False)
    """
    parts = re.split(r"[/\\]", path)
    return bool(path) and parts[0] != "" and ".." not in parts and ":" not in parts[0]


def _format_of(path: Path) -> Callable[[Path, Select, Limits], Members]:
    """The reader for an archive's format, by its first bytes, since its name may be wrong."""
    try:
        with path.open("rb") as file:
            beginning = file.read(6)
    except OSError as error:
        raise DamagedArchive from error
    if beginning.startswith(b"PK"):
        return zip_members.members
    if beginning == b"7z\xbc\xaf\x27\x1c":
        return seven_zip_members.members
    return tar_members.members
