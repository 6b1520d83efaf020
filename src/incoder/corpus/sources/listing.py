"""What a recipe's sources hold, as shards in one deterministic order."""

import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from incoder.corpus.licences.files import with_detected_licences
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources.archives import archive_shards
from incoder.corpus.sources.exclusions import Exclusion, exclusion_of
from incoder.corpus.sources.folders import list_folder, list_git, list_standard_library
from incoder.corpus.sources.input_shard import InputShard, shards_of_files
from incoder.corpus.sources.json_lines import json_lines_shards
from incoder.corpus.sources.packages import list_packages
from incoder.corpus.sources.parquet import parquet_shards
from incoder.corpus.sources.source_file import Dropped, OnDrop, SourceFile, within_budget
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


def list_input_shards(recipe: CorpusRecipe, scratch: Path, on_drop: OnDrop) -> list[InputShard]:
    """All sources of a recipe in shards: the listed files first, then the others as the recipe has them.

    `scratch` is a folder for what has to be regrouped on disk before it can be read, which only StackOverflow
    has; it must stay until all shards are read, and may be deleted then. What lies there finished from an
    earlier run, with the same settings, is used again.

    Raises:
        IncoderError: a source is missing or cannot be listed.
    """
    shards: list[InputShard] = [*shards_of_files("files", list_files(recipe, on_drop))]
    for number, source in enumerate(recipe.sources):
        name = f"{number:03}-{source.kind}"
        match source:
            case ArchiveSource():
                shards += archive_shards(name, source)
            case JsonLinesSource():
                shards += json_lines_shards(name, source)
            case ParquetSource():
                shards += parquet_shards(name, source, on_drop)
            case StackOverflowSource():
                shards += stackoverflow_shards(name, source, scratch / name, on_drop)
    return shards


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


def list_files(recipe: CorpusRecipe, on_drop: OnDrop) -> list[SourceFile]:
    """The files of the sources that are listed file by file, without the excluded, by (project, path).

    Raises:
        IncoderError: a source is missing or cannot be listed.
    """
    files = list[SourceFile]()
    exclusion = exclusion_of(recipe)
    for source in recipe.sources:
        if isinstance(source, ListedSource):
            listed = sorted(_list(source, recipe, on_drop), key=_order)
            files += within_budget(
                _without_excluded(listed, exclusion, on_drop),
                max_bytes=source.max_bytes,
                max_project_bytes=source.max_project_bytes,
                seed=recipe.seed,
                on_drop=on_drop,
            )
    return sorted(files, key=_order)


def _order(file: SourceFile) -> tuple[str, str]:
    return file.project, file.path


def _list(source: ListedSource, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterable[SourceFile]:
    extensions = recipe.taken_extensions
    match source:
        case FolderSource():
            files = list_folder(source, extensions, on_drop)
            return with_detected_licences(files, source, recipe.licences, on_drop)
        case GitSource():
            files = list_git(source, extensions)
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
