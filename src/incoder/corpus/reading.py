"""From listed files to documents; what cannot be read as text is dropped with the reason."""

import stat
from collections.abc import Iterable, Iterator

from incoder.corpus.attributes import attributes_of
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.source_file import Dropped, OnDrop, SourceFile
from incoder.document import Document


def read_files(files: Iterable[SourceFile], recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
    """One document for each file that is UTF-8 text; a byte order mark is left out, line ends stay."""
    for file in files:
        content = _content(file, recipe.filters.max_file_bytes)
        if isinstance(content, Dropped):
            on_drop(content)
            continue
        yield Document(
            text=content,
            path=file.path,
            project=file.project,
            source=file.source,
            licence=file.licence,
            attributes=attributes_of(file, recipe.attributes, recipe.seed),
        )


def _content(file: SourceFile, max_bytes: int) -> str | Dropped:
    """The text, or why there is none."""

    def dropped(reason: str, num_bytes: int = file.num_bytes) -> Dropped:
        return Dropped(file.project, file.path, num_bytes, reason)

    if not file.path.isprintable():  # line ends, or bytes that are no UTF-8
        return dropped("unprintable path")
    try:
        status = file.location.lstat()
        if not stat.S_ISREG(status.st_mode):
            return dropped("not a regular file")
        if status.st_size > max_bytes:
            return dropped("too large", status.st_size)
        data = file.location.read_bytes()
    except OSError:
        return dropped("unreadable")
    if b"\0" in data:
        return dropped("binary", len(data))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return dropped("not UTF-8", len(data))
