"""Column maps: the fields of the public data sets' records, and documents from these records.

A name with dots is a field of a nested record. Of several names, the first whose field has a value is used.
"""

import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from incoder.corpus.licences.expressions import allows
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources.exclusions import exclusion_of
from incoder.corpus.sources.reading import document_of
from incoder.corpus.sources.source_file import Dropped, SourceFile, failure_of
from incoder.corpus.sources.source_settings import JsonLinesSource, ParquetSource
from incoder.corpus.text.languages import extension_of
from incoder.document import Document

Names = tuple[str, ...]

# "own": the files that this package writes (fetched repositories, and the documents of a corpus).
COLUMNS: dict[str, dict[str, Names]] = {
    "own": {
        "text": ("content", "text"),
        "path": ("path",),
        "project": ("repo", "project"),
        "licence": ("licence", "license"),
        "stars": ("stars",),
        "commit": ("commit",),
        "url": ("url",),
        "source": ("source",),
        "attributes": ("attributes",),
        "metadata": ("metadata",),
    },
    "stack-v1": {
        "text": ("content",),
        "path": ("max_stars_repo_path",),
        "project": ("max_stars_repo_name",),
        "licence": ("max_stars_repo_licenses",),
        "stars": ("max_stars_count",),
        "commit": ("max_stars_repo_head_hexsha",),
    },
    # Published without text: users add `content` from the archive that `blob_id` refers to.
    "stack-v2": {
        "text": ("content", "text"),
        "path": ("path",),
        "project": ("repo_name",),
        "licence": ("detected_licenses", "gha_license_id"),
        "stars": ("star_events_count",),
        "commit": ("revision_id",),
    },
    # One row per repository; `files` are its documents, to which the repository's fields are added.
    "stack-v3": {
        "text": ("content",),
        "path": ("path", "file_path"),
        "project": ("repo_path",),
        "licence": ("detected_licenses",),
        "stars": ("github_metadata.stars",),
        "commit": ("commit_id",),
    },
    "starcoderdata": {
        "text": ("content",),
        "path": ("max_stars_repo_path",),
        "project": ("max_stars_repo_name",),
        "stars": ("max_stars_count",),
    },
    "bigquery": {
        "text": ("content",),
        "path": ("path",),
        "project": ("repo_name",),
        "licence": ("license",),
        "mode": ("mode",),
    },
}
FILES_OF_ROW = {"stack-v3": "files"}  # the field with the list of documents

_METADATA = ("commit", "url")
_MAX_STARS = 2**53


class ColumnMap:
    """Turns the records of one source into documents."""

    def __init__(self, source: JsonLinesSource | ParquetSource, recipe: CorpusRecipe, location: Path) -> None:
        self._source = source
        self._recipe = recipe
        self._location = location
        self._names = names_of(source)
        self._extensions = recipe.taken_extensions
        self._exclusion = exclusion_of(recipe)

    def documents(self, record: Mapping[str, Any]) -> list[Document | Dropped]:
        """The documents of one record: one, or one for each file of its repository."""
        files = record.get(FILES_OF_ROW.get(self._source.columns, ""))
        records = [{**record, **file} for file in files if file] if isinstance(files, list) else [record]
        found = (self._guarded(one) for one in records)
        return [document for document in found if document is not None]

    def _guarded(self, record: Mapping[str, Any]) -> Document | Dropped | None:
        try:
            return self._document(record)
        except Exception as error:  # noqa: BLE001 - whatever a hostile record brings about
            return Dropped(self._location.name, self._location.name, 0, failure_of(error))

    def _document(self, record: Mapping[str, Any]) -> Document | Dropped | None:
        """The document, or the reason to drop it; None for a file in a language that is not taken."""
        text, path = self._value(record, "text"), self._value(record, "path")
        project = self._value(record, "project")
        if not isinstance(path, str) or not isinstance(text, str | bytes):
            return Dropped(str(project or ""), str(path or ""), 0, "record without text or path")
        attributes = self._pairs(record, "attributes")  # every document of a corpus has them
        is_thread = attributes is not None and not extension_of(path)
        if not is_thread and extension_of(path) not in self._extensions:
            return None
        path = path.lstrip("/")  # paths of The Stack v2 begin with a slash
        file = self._file(record, path, str(project or self._location.stem), len(text))
        reason = self._exclusion(file) or self._mode_reason(record)
        if not is_thread:  # StackOverflow has licences of its own
            reason = reason or self._licence_reason(file.licence)
        if reason:
            return Dropped(file.project, path, file.num_bytes, reason)
        found = document_of(file, text, self._recipe)
        if isinstance(found, Document) and attributes is not None:
            return _attributed_as_before(found, attributes)
        return found

    def _file(self, record: Mapping[str, Any], path: str, project: str, num_bytes: int) -> SourceFile:
        stars = self._value(record, "stars")
        metadata = self._pairs(record, "metadata") or {}
        metadata |= {name: str(value) for name in _METADATA if (value := self._value(record, name))}
        return SourceFile(
            project=project,
            path=path,
            source=str(self._value(record, "source") or self._source.source),
            location=self._location,
            num_bytes=num_bytes,
            licence=licence_expression(self._value(record, "licence")),
            stars=int(stars) if isinstance(stars, int | float) and 0 <= stars <= _MAX_STARS else None,
            metadata=metadata,
        )

    def _value(self, record: Mapping[str, Any], field: str) -> Any:
        values = [nested(record, name) for name in self._names.get(field, ())]
        there = [value for value in values if value is not None]
        return next((value for value in there if value not in ("", [])), there[0] if there else None)

    def _pairs(self, record: Mapping[str, Any], field: str) -> dict[str, str] | None:
        """A map of texts, as an object of JSON or as a list of pairs of Arrow; None if there is none."""
        value = self._value(record, field)
        if not isinstance(value, Mapping | list):
            return None
        pairs = value.items() if isinstance(value, Mapping) else value
        return {
            str(pair[0]): str(pair[1]) for pair in pairs if isinstance(pair, tuple | list) and len(pair) == 2
        }

    def _mode_reason(self, record: Mapping[str, Any]) -> str | None:
        """The reason to drop a link, whose content is a path; `mode` is git's, in decimal digits."""
        mode = self._value(record, "mode")
        is_regular = mode is None or stat.S_ISREG(int(mode))
        return None if is_regular else "not a regular file"

    def _licence_reason(self, licence: str | None) -> str | None:
        if licence is None:
            # A data set without the field has only permissive licences, as its description says.
            default = "drop" if "licence" in self._names else "keep"
            return "unknown licence" if (self._source.unknown_licence or default) == "drop" else None
        return None if allows(licence, self._recipe.licences) else "licence not allowed"


def _attributed_as_before(document: Document, attributes: Mapping[str, str]) -> Document:
    """Keep the attributes of a document of a corpus: threads have none, a notebook's `ext` has its kernel."""
    if not extension_of(document.path):
        return replace(document, attributes={})
    if "ext" in document.attributes and "ext" in attributes:
        return replace(document, attributes={**document.attributes, "ext": attributes["ext"]})
    return document


def names_of(source: JsonLinesSource | ParquetSource) -> dict[str, Names]:
    """The column map of a source: its data set's, with the names that the recipe replaces."""
    own: dict[str, Names] = {field: (name,) for field, name in source.column_names.items()}
    return {**COLUMNS[source.columns], **own}


def nested(record: Mapping[str, Any], name: str) -> Any:
    """The value at a name with dots, or None.

    >>> nested({"github_metadata": {"stars": 12}}, "github_metadata.stars")
    12
    """
    value: Any = record
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def licence_expression(value: object) -> str | None:
    """One SPDX expression; all licences of a list apply, as in the authors' code. NOASSERTION is no licence.

    >>> licence_expression(["MIT", "Apache-2.0"])
    'MIT AND Apache-2.0'
    """
    licences: Sequence[object] = value if isinstance(value, list) else [value]
    known = [str(licence) for licence in licences if licence]
    if not known or any(licence.upper() in ("NOASSERTION", "OTHER", "NONE") for licence in known):
        return None
    return " AND ".join(f"({licence})" if " " in licence else licence for licence in known)
