"""Projects that nothing may learn from, because models are measured on them: by name, and by their code.

A file is left out if its project is held out, if a folder in its path has the name of a held-out project, or
if its text is nearly that of a file of their code. Names are compared as packaging standards compare them.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from incoder.corpus.decontamination.decontamination_settings import DecontaminationSettings
from incoder.corpus.decontamination.json_records import read_text
from incoder.corpus.deduplication.near import Sketches, shingles, sketches
from incoder.corpus.sources.source_file import Dropped, OnDrop
from incoder.corpus.text.languages import LANGUAGES, extension_of
from incoder.corpus.text.words import words_of
from incoder.document import Document
from incoder.errors import IncoderError

NAMED, VENDORED, NEAR_COPY = "named project", "vendored copy", "near copy"

_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*?)\s*(?:\[[^]]*\])?\s*(?:(?:[=<>!~]=|[<>]).*)?")
# N-grams of a file to compare: notices of a licence, and files that only import, are alike everywhere.
_MIN_SHINGLES = 100


def held_out_names(path: Path) -> tuple[str, ...]:
    """Read the names of a list with one project a line, as in pip's requirement files.

    A version after the name (`flask==3.1.3`) says which one is measured on, and `#` begins a comment.

    Raises:
        IncoderError: the list cannot be read, has a line of another form, or names nothing.
    """
    names = list[str]()
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        match = _LINE.fullmatch(entry)
        if match is None:
            raise IncoderError(
                f"{path}, line {number}: must be the name of a project, with a version or without, such as "
                f"flask==3.1.3, got {entry!r}"
            )
        names.append(comparable(match[1]))
    if not names:
        raise IncoderError(f"{path} must name the projects to hold out, one a line, and names none")
    return tuple(names)


def comparable(name: str) -> str:
    """A name without an owner, in lower case, with hyphens for `-`, `_` and `.`.

    >>> comparable("Owner/Huggingface_Hub")
    'huggingface-hub'
    """
    return re.sub(r"[-_.]+", "-", name.rpartition("/")[2]).lower()


def refuse_held_out(projects: Iterable[str], path: Path) -> None:
    """Refuse to fit anything to a project of the list in `path`.

    Raises:
        IncoderError: the list names one of the projects, or cannot be read.
    """
    names = frozenset(held_out_names(path))
    if found := sorted(project for project in projects if comparable(project) in names):
        raise IncoderError(
            f"{', '.join(found)} must not be fitted to: {path} holds it out to be measured on; "
            "take another project"
        )


class HeldOutProjects:
    """The projects of a recipe's list."""

    def __init__(self, settings: DecontaminationSettings) -> None:
        """Read the list.

        Raises:
            IncoderError: see `held_out_names`.
        """
        self._names = frozenset(held_out_names(settings.held_out)) if settings.held_out else frozenset()

    def reason(self, project: str, path: str) -> str | None:
        """Why a file is left out, or None."""
        if (name := comparable(project)) in self._names:
            return _reason(name, NAMED)
        folders = map(comparable, PurePosixPath(path).parts[:-1])
        return next((_reason(name, VENDORED) for name in folders if name in self._names), None)


class HeldOutCode:
    """The files of held-out projects, to find near copies of them; one set of sketches for each file."""

    def __init__(self, folder: Path, threshold: float) -> None:
        """Read all source files below a folder, whose entries are the projects.

        Raises:
            IncoderError: the folder is missing, has no source files of some length, or one cannot be read.
        """
        self._projects, self._sketches_NP = _sketched(folder)
        self._threshold = threshold

    def project_of(self, text: str) -> str | None:
        """The project with a file that nearly has this text, or None."""
        found = shingles(words_of(text))
        if len(found) < _MIN_SHINGLES:
            return None
        shares_N = np.mean(self._sketches_NP == sketches([found]), axis=1)
        best = int(shares_N.argmax())
        return self._projects[best] if shares_N[best] >= self._threshold else None


def without_near_copies(
    documents: Iterable[Document], code: HeldOutCode, on_drop: OnDrop
) -> Iterator[Document]:
    """Yield the documents that are no near copies of held-out code."""
    for document in documents:
        if project := code.project_of(document.text):
            num_bytes = len(document.text.encode())
            on_drop(Dropped(document.project, document.path, num_bytes, _reason(project, NEAR_COPY)))
        else:
            yield document


def code_files(folder: Path) -> list[Path]:
    """The source files below a folder, in the 28 languages, by path."""
    found = (path for path in folder.rglob("*") if extension_of(path.name) in LANGUAGES)
    return sorted(path for path in found if path.is_file())


def _reason(project: str, kind: str) -> str:
    return f"held out: {project}, {kind}"


@lru_cache(maxsize=1)  # a worker reads many shards by one recipe
def _sketched(folder: Path) -> tuple[list[str], Sketches]:
    if not folder.is_dir():
        raise IncoderError(f"there is no folder {folder} with the code of held-out projects")
    projects, found = list[str](), list[np.ndarray[tuple[int], np.dtype[np.uint64]]]()
    for path in code_files(folder):
        try:
            text = path.read_bytes().decode("utf-8", "replace")
        except OSError as error:
            raise IncoderError(f"cannot read {path}, code of a held-out project: {error.strerror}") from error
        shingles_of_file = shingles(words_of(text))
        if len(shingles_of_file) >= _MIN_SHINGLES:
            projects.append(comparable(path.relative_to(folder).parts[0]))
            found.append(shingles_of_file)
    if not found:
        raise IncoderError(f"{folder} has no source files of held-out projects")
    return projects, sketches(found)
