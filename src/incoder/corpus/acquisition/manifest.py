"""Tables of repositories: a CSV or parquet file to fetch from, and the parquet manifest of the results.

Columns are found by the names that are common in such lists (SEART, GHTorrent, The Stack, our own manifest).
Rows that are no repositories do not stop anything; they are returned with their line and the reason.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from incoder.corpus.acquisition.fetch_folder import MANIFEST, STAGING
from incoder.corpus.acquisition.repository import HOSTS, Repository, default_url, problem_with
from incoder.corpus.acquisition.repository_files import put_in_place
from incoder.corpus.acquisition.state import State
from incoder.corpus.storage.arrow import pyarrow
from incoder.errors import IncoderError
from incoder.files import make_folder

# Possible names of a column, in lower case; the first one that the table has is used.
_NAMES = {
    "repo": (
        "repo",
        "repo_name",
        "repository",
        "full_name",
        "path_with_namespace",
        "max_stars_repo_name",
        "name",
    ),
    "source": ("source",),
    "url": ("url", "clone_url", "http_url_to_repo"),
    "licence": ("licence", "license", "spdx_id"),
    "language": ("language", "mainlanguage", "main_language"),
    "stars": (
        "stars",
        "stargazers_count",
        "stargazers",
        "star_count",
        "star_events_count",
        "max_stars_count",
    ),
    "branch": ("branch", "default_branch", "defaultbranch", "branch_name"),
    "commit": ("commit", "commit_id", "revision_id", "max_stars_repo_head_hexsha"),
}
_OUTCOMES = {"staged": "fetched", "packed": "fetched", "empty": "fetched"}
_BATCH_ROWS = 4096
_MAX_SHOWN = 100  # characters of an invalid name in a message

# Names of licences on GitHub's pages, which some lists have instead of SPDX identifiers.
_LICENCE_NAMES = {
    "mit license": "MIT",
    "apache license 2.0": "Apache-2.0",
    'bsd 2-clause "simplified" license': "BSD-2-Clause",
    'bsd 3-clause "new" or "revised" license': "BSD-3-Clause",
}


def read_repositories(path: Path, source: str) -> Iterator[Repository | tuple[str, str]]:
    """Yield the repositories of a CSV file (with a header) or a parquet file, row by row.

    `source` is the host of rows that name none. A row that cannot be fetched is yielded as a pair: its line
    and the reason.

    Raises:
        IncoderError: the file cannot be read, or has no column with names of repositories.
    """
    rows = _parquet_rows(path) if path.suffix == ".parquet" else _csv_rows(path)
    for place, row in rows:
        item = row if isinstance(row, str) else _repository(row, source)
        if isinstance(item, Repository):
            yield item
        else:
            named = "" if isinstance(row, str) else f": {str(row.get('repo'))[:_MAX_SHOWN]!r}"
            yield place + named, item


def write_manifest(folder: Path, state: State) -> Path:
    """Write every repository with its outcome; return the file, which is itself a list to fetch from.

    `outcome` is fetched, failed (with a `reason`) or listed (not yet fetched).

    Raises:
        OSError: it cannot be written.
    """
    pa, parquet = pyarrow()
    texts = ("repo", "source", "licence", "language", "branch", "commit", "url", "outcome", "reason")
    numbers = ("stars", "num_files", "num_bytes")
    schema = pa.schema(
        [pa.field(name, pa.string()) for name in texts] + [pa.field(name, pa.int64()) for name in numbers]
    )
    temporary = make_folder(folder / STAGING) / MANIFEST
    with parquet.ParquetWriter(temporary, schema) as writer:
        batch: list[dict[str, object]] = []
        for row in state.rows():
            batch.append({**row, "outcome": _OUTCOMES.get(str(row["outcome"]), row["outcome"])})
            if len(batch) == _BATCH_ROWS:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    put_in_place(temporary, folder / MANIFEST)
    return folder / MANIFEST


def _repository(row: Mapping[str, Any], default_source: str) -> Repository | str:
    """The repository of a row, or what is wrong with the row."""
    repo, source = _text(row.get("repo")) or "", _text(row.get("source")) or default_source
    url = _text(row.get("url"))
    if source not in HOSTS and url is None:
        return "no known host as its source, and no URL"
    try:
        stars = None if row.get("stars") in (None, "") else int(float(row["stars"]))
    except (ValueError, OverflowError, TypeError):
        return "no number of stars"
    commit = _text(row.get("commit"))
    repository = Repository(
        source=source,
        repo=repo,
        url=url or default_url(source, repo),
        licence=_licence(row.get("licence")),
        language=_text(row.get("language")),
        stars=stars,
        branch=_text(row.get("branch")),
        commit=commit.lower() if commit else None,
    )
    return problem_with(repository) or repository


def _licence(value: object) -> str | None:
    """A cell as an SPDX expression; all licences of a list apply. GitHub's NOASSERTION is no licence."""
    cells = value if isinstance(value, list) else [value]
    named = [_LICENCE_NAMES.get(text.lower(), text) for cell in cells if (text := _text(cell))]
    if any(name.upper() in ("NOASSERTION", "OTHER", "NONE") for name in named):
        return None
    return " AND ".join(named) or None


def _text(value: object) -> str | None:
    return str(value).strip() or None if value is not None else None


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any] | str]]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file)
            header = next(_rows_of(reader), [])
            columns = _columns(header if isinstance(header, list) else [], path)
            for row in _rows_of(reader):
                place = f"line {reader.line_num}"
                if isinstance(row, str):
                    yield place, row
                elif row and len(row) != len(header):
                    yield place, "another number of fields than the header"
                elif row:
                    yield place, {name: row[index] for name, index in columns.items()}
    except OSError as error:
        raise IncoderError(f"cannot read {path}: {error.strerror or error}") from error


def _rows_of(reader: Any) -> Iterator[list[str] | str]:
    """Yield the rows; in the place of one that cannot be read, what is wrong with it."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"no CSV: {error}"


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any] | str]]:
    pa, parquet = pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            header = file.schema_arrow.names
            columns = _columns(header, path)
            names = {header[index]: name for name, index in columns.items()}
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(names)):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", {names[column]: value for column, value in row.items()}
    except (OSError, pa.ArrowException) as error:
        raise IncoderError(f"cannot read {path}: {error}") from error


def _columns(header: list[str], path: Path) -> dict[str, int]:
    """The index of each column in the header, by its meaning."""
    there = {name.strip().lower(): index for index, name in reversed(list(enumerate(header)))}
    columns = {
        meaning: there[name]
        for meaning, names in _NAMES.items()
        if (name := next((name for name in names if name in there), None)) is not None
    }
    if "repo" not in columns:
        raise IncoderError(
            f"{path} has no column with names of repositories; call it repo, "
            f"or one of {', '.join(_NAMES['repo'][1:])}"
        )
    return columns
