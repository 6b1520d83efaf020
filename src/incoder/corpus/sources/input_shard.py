"""An input shard: a part of a source that one worker reads alone. Here is also the shard of listed files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources.reading import read_files
from incoder.corpus.sources.source_file import OnDrop, SourceFile
from incoder.document import Document

_SHARD_BYTES = 64_000_000
_SHARD_FILES = 10_000


class InputShard(Protocol):
    """A picklable part of the input; documents and drops are a function of it and the recipe, in order."""

    @property
    def name(self) -> str:
        """The shard's name: unique, and the same in every run."""

    @property
    def num_bytes(self) -> int:
        """The size of the input, as a measure of the work."""

    @property
    def paths(self) -> Iterable[Path]:
        """The files that the shard is read from."""

    def documents(self, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
        """Read the shard."""


@dataclass(frozen=True, slots=True)
class FilesShard:
    """Files that were listed one by one."""

    name: str
    files: tuple[SourceFile, ...]

    @property
    def num_bytes(self) -> int:
        return sum(file.num_bytes for file in self.files)

    @property
    def paths(self) -> Iterable[Path]:
        return (file.location for file in self.files)

    def documents(self, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
        return read_files(self.files, recipe, on_drop)


def shards_of_files(name: str, files: Iterable[SourceFile]) -> Iterator[FilesShard]:
    """Cut files, in their order, into shards of about 64 MB."""
    together, num_bytes, number = list[SourceFile](), 0, 0
    for file in files:
        together.append(file)
        num_bytes += file.num_bytes
        if num_bytes >= _SHARD_BYTES or len(together) >= _SHARD_FILES:
            yield FilesShard(f"{name}/{number:06}", tuple(together))
            together, num_bytes, number = [], 0, number + 1
    if together:
        yield FilesShard(f"{name}/{number:06}", tuple(together))
