"""The sources of a recipe as input shards, in one deterministic order."""

import marshal
import os
import sqlite3
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from incoder.corpus.licences.files import with_detected_licences
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources.archives import archive_shards
from incoder.corpus.sources.exclusions import Exclusion, exclusion_of
from incoder.corpus.sources.folders import list_folder, list_git, list_standard_library
from incoder.corpus.sources.input_shard import InputShard, shards_of_files
from incoder.corpus.sources.json_lines import json_lines_shards
from incoder.corpus.sources.packages import list_packages
from incoder.corpus.sources.parquet import parquet_shards
from incoder.corpus.sources.source_file import Dropped, OnDrop, SourceFile, drawing_key, within_budget
from incoder.corpus.sources.source_settings import (
    ArchiveSource,
    FolderSource,
    GitSource,
    JsonLinesSource,
    ListedSource,
    PackagesSource,
    ParquetSource,
    StackOverflowSource,
    StandardLibrarySource,
)
from incoder.corpus.sources.stackoverflow import stackoverflow_shards


def list_input_shards(recipe: CorpusRecipe, scratch: Path, on_drop: OnDrop) -> Iterator[InputShard]:
    """Yield the input shards of all sources: first the listed files, then the others in the recipe's order.

    `scratch` is a folder for records that are regrouped on disk before they can be read, as StackOverflow's
    are. It must be kept until all shards are read. A finished grouping that an earlier run with the same
    settings left there is used again.

    Raises:
        IncoderError: a source is missing or cannot be listed.
    """
    yield from shards_of_files("files", list_files(recipe, on_drop))
    for number, source in enumerate(recipe.sources):
        name = f"{number:03}-{source.kind}"
        match source:
            case ArchiveSource():
                yield from archive_shards(name, source)
            case JsonLinesSource():
                yield from json_lines_shards(name, source)
            case ParquetSource():
                yield from parquet_shards(name, source, on_drop)
            case StackOverflowSource():
                yield from stackoverflow_shards(name, source, scratch / name, on_drop)


def source_paths(recipe: CorpusRecipe) -> list[Path]:
    """The files and folders of a recipe's sources, whether they exist or not."""
    paths = list[Path]()
    for source in recipe.sources:
        if isinstance(source, StandardLibrarySource):
            paths.append(Path(sysconfig.get_path("stdlib")))
        elif source.path is not None:
            paths.append(source.path)
        else:
            paths += {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    return paths


def list_files(recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[SourceFile]:
    """The files of the sources that are listed file by file, without the excluded, by (project, path).

    The list is on disk, in a temporary file of SQLite's, so that memory does not bound the number of files.

    Raises:
        IncoderError: a source is missing or cannot be listed.
    """
    exclusion = exclusion_of(recipe)
    with closing(_FileTable()) as taken:
        for source in recipe.sources:
            if isinstance(source, ListedSource):
                files = _without_excluded(_list(source, recipe, on_drop), exclusion, on_drop)
                if source.max_bytes is None and source.max_project_bytes is None:
                    taken.add((file.project, file.path, file) for file in files)
                    continue
                with closing(_FileTable()) as drawn_files:
                    drawn_files.add((drawing_key(recipe.seed, file), "", file) for file in files)
                    within = within_budget(
                        drawn_files.sorted(),
                        max_bytes=source.max_bytes,
                        max_project_bytes=source.max_project_bytes,
                        on_drop=on_drop,
                    )
                    taken.add((file.project, file.path, file) for file in within)
        yield from taken.sorted()


class _FileTable:
    """Files that are sorted on disk, by two texts each; SQLite removes its file when it is closed."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("CREATE TABLE files (first BLOB, second BLOB, file BLOB)")

    def add(self, rows: Iterable[tuple[str, str, SourceFile]]) -> None:
        encoded = (
            (_encoded(first), _encoded(second), marshal.dumps(_fields_of(file)))
            for first, second, file in rows
        )
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO files VALUES (?, ?, ?)", encoded)
        self._database.execute("COMMIT")

    def sorted(self) -> Iterator[SourceFile]:
        query = "SELECT file FROM files ORDER BY first, second, rowid"
        for (content,) in self._database.execute(query):
            project, path, source, location, *others = marshal.loads(content)
            yield SourceFile(project, path, source, Path(location), *others)

    def close(self) -> None:
        self._database.close()


def _fields_of(file: SourceFile) -> Any:
    location = os.fspath(file.location)
    return (
        file.project,
        file.path,
        file.source,
        location,
        file.num_bytes,
        file.licence,
        file.version,
        file.stars,
    )


def _encoded(text: str) -> bytes:
    """UTF-8 is in the order of the code points; a name of a file system may be no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _list(source: ListedSource, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterable[SourceFile]:
    extensions = recipe.taken_extensions
    match source:
        case FolderSource():
            files = list_folder(source, extensions, on_drop)
            return with_detected_licences(files, source, recipe.licences, on_drop)
        case GitSource():
            files = list_git(source, extensions, on_drop)
            return with_detected_licences(files, source, recipe.licences, on_drop)
        case PackagesSource():
            return list_packages(source, extensions, recipe.licences, on_drop)
        case StandardLibrarySource():
            return list_standard_library(extensions, on_drop)


def _without_excluded(
    files: Iterable[SourceFile], exclusion: Exclusion, on_drop: OnDrop
) -> Iterator[SourceFile]:
    for file in files:
        if reason := exclusion(file):
            on_drop(Dropped(file.project, file.path, file.num_bytes, reason))
        else:
            yield file
