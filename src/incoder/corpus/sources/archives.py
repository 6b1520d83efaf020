"""Archives: documents straight from tar, zip and 7z, without unpacking them to disk.

Nothing that an archive says is believed: names that lead out of it, links, sizes that are not true, and what
unfolds to far more than its size on disk are left out with the reason. A damaged archive gives what comes
before the damage.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from incoder.corpus.licences.files import MAX_LICENCE_BYTES, allowed_licence, joined_licences
from incoder.corpus.licences.texts import LICENCE_FILE, recognised_licence
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources import seven_zip_members, tar_members, zip_members
from incoder.corpus.sources.exclusions import exclusion_of
from incoder.corpus.sources.members import ArchiveBomb, DamagedArchive, Limits, Members, Select
from incoder.corpus.sources.reading import document_of
from incoder.corpus.sources.record_files import existing_files
from incoder.corpus.sources.source_file import Dropped, OnDrop, SourceFile
from incoder.corpus.sources.source_settings import LICENCE_FROM_TEXT, ArchiveSource
from incoder.corpus.text.languages import extension_of
from incoder.document import Document

_SUFFIXES = re.compile(r"\.(?:tar(?:\.(?:gz|bz2|xz|zst))?|tgz|tbz2?|txz|tzst|zip|whl|7z)$", re.IGNORECASE)
_MIN_BUDGET = 100_000_000  # bytes that any archive may unfold to


@dataclass(frozen=True, slots=True)
class ArchiveShard:
    """One archive."""

    name: str
    path: Path
    num_bytes: int
    source: ArchiveSource
    project: str  # where the archive is one

    @property
    def paths(self) -> tuple[Path]:
        return (self.path,)

    def documents(self, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
        licences: dict[str, str] | None = None
        if self.source.licence == LICENCE_FROM_TEXT:
            licences = self._detected(recipe.licences, on_drop)
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

    def _wanted(self, recipe: CorpusRecipe, licences: Collection[str] | None, on_drop: OnDrop) -> Select:
        extensions, exclusion = recipe.taken_extensions, exclusion_of(recipe)

        def select(path: str, num_bytes: int, is_regular: bool) -> bool:
            if extension_of(path) not in extensions:
                return False
            if licences is not None and self._project(path) not in licences:
                return False  # reported with its project
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
            return reason is None

        return select

    def _detected(self, allowed: Collection[str], on_drop: OnDrop) -> dict[str, str]:
        """The licence of each project in the archive whose licence files allow taking it."""
        found = dict[str, set[str | None]]()
        depth = 1 if self.source.projects == "entries" else 2

        def select(path: str, num_bytes: int, is_regular: bool) -> bool:
            found.setdefault(self._project(path), set())
            parts = PurePosixPath(path).parts
            is_licence = len(parts) <= depth + (depth == 1) and LICENCE_FILE.fullmatch(
                parts[-1] if parts else ""
            )
            return is_regular and bool(is_licence) and num_bytes <= MAX_LICENCE_BYTES

        for path, content in self._members(select, lambda _: None):
            found[self._project(path)].add(recognised_licence((content or b"").decode("utf-8", "replace")))
        licences = dict[str, str]()
        for project in sorted(found):
            licence = joined_licences(found[project])
            if allowed_licence(project, licence, allowed, on_drop) is not None and licence is not None:
                licences[project] = licence
        return licences

    def _project(self, path: str) -> str:
        if self.source.projects == "entries" and path:
            return path.partition("/")[0]
        return self.project

    def _file(self, path: str, num_bytes: int, licences: dict[str, str] | None) -> SourceFile:
        project = self._project(path)
        licence = self.source.licence if licences is None else licences[project]
        return SourceFile(project, path, "archive", self.path, num_bytes, licence)

    def _dropped(self, path: str, num_bytes: int, reason: str) -> Dropped:
        return Dropped(self._project(path), path or self.path.name, num_bytes, reason)


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
    """Its name without the suffix, below a folder with the folders between: `x/r.zip` is not `y/r.zip`."""
    name = archive.name if archive == root else archive.relative_to(root).as_posix()
    return _SUFFIXES.sub("", name)


def is_safe(path: str) -> bool:
    """Whether a member's path stays inside its archive on every system."""
    parts = re.split(r"[/\\]", path)
    return bool(path) and parts[0] != "" and ".." not in parts and ":" not in parts[0]


def _format_of(path: Path) -> Callable[[Path, Select, Limits], Members]:
    """By the first bytes, since names lie."""
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
