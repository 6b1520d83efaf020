"""The source files of a folder in the corpus's 28 languages.

Files that are not text, too large or copies are counted and left out.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from incoder.corpus.text.languages import LANGUAGES, NOTEBOOK, extension_of, other_language
from incoder.corpus.text.notebooks import NotANotebook, notebook_text
from incoder.errors import IncoderError

_MAX_FILE_BYTES = 200_000  # every row of a file holds all of its text


@dataclass(frozen=True, slots=True)
class SourceText:
    """A file's text, and its path relative to the folder."""

    path: str
    language: str
    text: str


def source_files(folder: Path, counts: Counter[str]) -> Iterator[SourceText]:
    """Yield all files in the 28 languages, in the order of their paths; hidden files and links are skipped.

    The text of a notebook is that of its cells. `counts` collects the number of files, and the number of
    files left out for each reason.

    Raises:
        IncoderError: the folder does not exist, or has no file in these languages.
    """
    if not folder.is_dir():
        raise IncoderError(f"{folder} is not a folder; give one with source code")
    paths = sorted(_paths(folder))
    if not paths:
        raise IncoderError(f"there are no files of the {len(set(LANGUAGES.values()))} languages in {folder}")
    seen = set[bytes]()
    for path in paths:
        text = _text(path, counts)
        if text is None:
            continue
        digest = hashlib.sha256(" ".join(text.split()).encode()).digest()
        if digest in seen:
            counts["copies of files"] += 1
            continue
        seen.add(digest)
        counts["files"] += 1
        yield SourceText(path.relative_to(folder).as_posix(), LANGUAGES[extension_of(path.name)], text)


def _paths(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if extension_of(name) in LANGUAGES and not name.startswith(".") and not path.is_symlink():
                yield path


def _text(path: Path, counts: Counter[str]) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_FILE_BYTES:
            counts["files that are too large"] += 1
            return None
        text = path.read_bytes().decode("utf-8-sig")
        if extension_of(path.name) == NOTEBOOK:
            _, text = notebook_text(text)
    except (OSError, UnicodeDecodeError, NotANotebook):
        counts["files that cannot be read"] += 1
        return None
    if other_language(extension_of(path.name), text) is not None:
        counts["files of other languages"] += 1
        return None
    return text
