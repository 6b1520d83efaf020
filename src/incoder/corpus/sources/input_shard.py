"""A piece of a source: what one worker reads alone, and the piece of listed files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources.reading import read_files
from incoder.corpus.sources.source_file import OnDrop, SourceFile
from incoder.document import Document

_PIECE_BYTES = 64_000_000
_PIECE_FILES = 10_000


class Piece(Protocol):
    """Can be pickled; the same piece and recipe give the same documents and drops in the same order."""

    @property
    def name(self) -> str:
        """The same in every run, and no other piece's."""

    @property
    def num_bytes(self) -> int:
        """How much there is to read, as a measure of the work."""

    @property
    def paths(self) -> Iterable[Path]:
        """The files that it is read from."""

    def documents(self, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
        """Read the piece."""


@dataclass(frozen=True, slots=True)
class FilesPiece:
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


def pieces_of_files(name: str, files: Sequence[SourceFile]) -> Iterator[FilesPiece]:
    """The files in their order, cut into pieces of about 64 MB."""
    start, num_bytes, number = 0, 0, 0
    for end, file in enumerate(files, start=1):
        num_bytes += file.num_bytes
        if num_bytes >= _PIECE_BYTES or end - start >= _PIECE_FILES or end == len(files):
            yield FilesPiece(f"{name}/{number:06}", tuple(files[start:end]))
            start, num_bytes, number = end, 0, number + 1
