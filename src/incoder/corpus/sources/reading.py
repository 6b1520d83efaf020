"""Turns the bytes of files into documents; files that are not text are dropped with the reason.

The files of all sources are read here, from folders, archives and parquet.
"""

import stat
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources.exclusions import path_reason, unprintable_reason
from incoder.corpus.sources.source_file import Dropped, OnDrop, SourceFile, failure_of
from incoder.corpus.text.attributes import attributes_of
from incoder.corpus.text.languages import NOTEBOOK, extension_of, other_language
from incoder.corpus.text.notebooks import NotANotebook, is_notebook_text, notebook_text
from incoder.document import Document


def read_files(files: Iterable[SourceFile], recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
    """Yield a document for each file of UTF-8 text, without byte order mark, with unchanged line ends."""
    for file in files:
        found = _read(file, recipe)
        if isinstance(found, Dropped):
            on_drop(found)
        else:
            yield found


def document_of(file: SourceFile, content: bytes | str, recipe: CorpusRecipe) -> Document | Dropped:
    """The document of a file with this content, or the reason why it is dropped.

    Raises:
        IncoderError: a library that notebooks are read with is not installed.
    """
    try:
        found = _document_of(file, content, recipe)
    except Exception as error:  # noqa: BLE001 - whatever a hostile file brings about
        found = Dropped(file.project, file.path, file.num_bytes, failure_of(error))
    if isinstance(found, Document) and not _can_be_written(found):
        return Dropped(file.project, file.path, file.num_bytes, "not UTF-8")
    return found


def _document_of(file: SourceFile, content: bytes | str, recipe: CorpusRecipe) -> Document | Dropped:
    text, reason = _text_of(file, content, recipe)
    if reason is not None:
        num_bytes = len(content) if isinstance(content, bytes) else file.num_bytes
        return Dropped(file.project, file.path, num_bytes, reason)
    extension = extension_of(file.path)
    attributes = attributes_of(file, recipe.attributes, recipe.seed)
    if extension == NOTEBOOK and not is_notebook_text(text):
        try:
            kernel, text = notebook_text(text)
        except NotANotebook as problem:
            return Dropped(file.project, file.path, file.num_bytes, str(problem))
        if "ext" in attributes:
            attributes["ext"] = f"{NOTEBOOK}:{kernel}"
    return Document(
        text=text,
        path=file.path,
        project=file.project,
        source=file.source,
        licence=file.licence,
        attributes=attributes,
        stars=file.stars,
        metadata=file.metadata,
    )


def _can_be_written(document: Document) -> bool:
    """Whether all text can be encoded: JSON can contain half a surrogate pair (`\\ud83d`)."""
    values = [document.source, document.licence or "", *document.attributes.values()]
    try:
        for text in [document.text, *values, *document.metadata, *document.metadata.values()]:
            if not text.isascii():
                text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(file: SourceFile, recipe: CorpusRecipe) -> Document | Dropped:
    def dropped(reason: str, num_bytes: int = file.num_bytes) -> Dropped:
        return Dropped(file.project, file.path, num_bytes, reason)

    try:
        status = file.location.lstat()
        if not stat.S_ISREG(status.st_mode):
            return dropped("not a regular file")
        if status.st_size > recipe.filters.max_file_bytes:
            return dropped("too large", status.st_size)
        content = file.location.read_bytes()
    except OSError:
        return dropped("unreadable")
    return document_of(file, content, recipe)


def _text_of(file: SourceFile, content: bytes | str, recipe: CorpusRecipe) -> tuple[str, str | None]:
    """The text, and the reason to drop it, or None."""
    if reason := unprintable_reason(file.project, file.path) or path_reason(file.path, recipe.filters):
        return "", reason
    if len(content) > recipe.filters.max_file_bytes:
        return "", "too large"
    if isinstance(content, bytes):
        if b"\0" in content:
            return "", "binary"
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return "", "not UTF-8"
    else:
        text = content.removeprefix("\ufeff")
        if "\0" in text:
            return "", "binary"
    if recipe.ambiguous_extensions == "content":
        language = other_language(extension_of(PurePosixPath(file.path).name), text)
        if language is not None:
            return "", f"written in {language}"
    return text, None
