"""The sources of a recipe: the schema of `[[sources]]`, one class per kind."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from incoder.config import Recipe, UserPath
from incoder.corpus.licences.expressions import normalised

LICENCE_FROM_TEXT = "detect"
_SKIPPED_FOLDERS = (
    "build",
    "_build",
    "dist",
    "target",
    "out",
    "cmake-build-*",
    "*.egg-info",
    "__pypackages__",
)


def _licence(licence: str) -> str:
    found = licence if licence == LICENCE_FROM_TEXT else normalised(licence)
    if found is None:
        raise ValueError(
            "must be an SPDX expression, such as MIT, or LicenseRef-… for a licence that SPDX does not "
            "list, or "
            f"{LICENCE_FROM_TEXT}"
        )
    return found


Licence = Annotated[str, AfterValidator(_licence)]
Stars = NonNegativeInt | Mapping[str, NonNegativeInt]


class _Listed(Recipe):
    """A source whose files are listed before any is read.

    The bounds limit how much is taken; the sample depends only on the seed and the files' names.
    """

    max_bytes: PositiveInt | None = None
    max_project_bytes: PositiveInt | None = None


class FolderSource(_Listed):
    """Every file below a folder. Hidden files and folders are left out, links are not followed.

    In git checkouts, files that git ignores are left out, too. So are environments of Python and conda and,
    unless git tracks them, `skipped_folders`: by default the folders that builds write into.

    `source` is the documents' `source` attribute, and `stars` are the stars of all projects or, in a table,
    of each project by its name. `projects` says what a project is, which is never divided between the splits:
    the whole folder, or each entry in it. `licence` is an SPDX expression for all files; with "detect" the
    licence files decide, each for the folder that it is in, and files under a licence outside the recipe's
    `licences` are left out.
    """

    kind: Literal["folder"]
    path: UserPath
    projects: Literal["folder", "entries"] = "folder"
    licence: Licence | None = None
    skipped_folders: tuple[str, ...] = _SKIPPED_FOLDERS
    source: str = "folder"
    stars: Stars | None = None


class GitSource(_Listed):
    """The tracked files of a git checkout; the project is `owner/name` from its remote, where it has one.

    With `projects = "entries"` each checkout in the folder is a project. `licence`, `source` and `stars` are
    as for a folder.
    """

    kind: Literal["git"]
    path: UserPath
    projects: Literal["checkout", "entries"] = "checkout"
    licence: Licence | None = None
    source: str = "git"
    stars: Stars | None = None


class PackagesSource(_Listed):
    """Installed Python packages whose metadata names a licence of the recipe's list.

    `path` is a folder such as `site-packages`, by default the running environment; `names` are the packages
    to take, by default all.
    """

    kind: Literal["packages"]
    path: UserPath | None = None
    names: tuple[str, ...] | None = None


class StandardLibrarySource(_Listed):
    """The source of the running Python's standard library; each module or package is a project."""

    kind: Literal["standard-library"]


class ArchiveSource(Recipe):
    """Archives: tar (plain, gz, bz2, xz, zst), zip and 7z; one file, or all archives in a folder.

    Nothing is unpacked to disk. The project is the archive or, with `projects = "entries"`, each of its
    top-level entries. An archive that unpacks to more than `max_members` members, or to more than `max_ratio`
    times its size on disk, is left out. The ratio counts everything that must be unpacked to reach the files.
    """

    kind: Literal["archives"]
    path: UserPath
    projects: Literal["archive", "entries"] = "archive"
    licence: Licence | None = None
    max_ratio: PositiveInt = 200
    max_members: PositiveInt = 10_000_000


Columns = Literal["own", "stack-v1", "stack-v2", "stack-v3", "starcoderdata", "bigquery"]
ColumnName = Literal["text", "path", "project", "licence", "stars", "commit", "url", "source"]
UnknownLicence = Literal["keep", "drop"]


class _Records(Recipe):
    """Files of records, each with a text and its metadata.

    `columns` names the map from records to documents; `column_names` replaces single entries of it, such as
    `{ text = "body" }`. Records with a licence outside the recipe's list are dropped. `unknown_licence`
    decides about records without a licence: by default they are dropped as well, unless the data set has no
    licences at all, like StarCoderData. `source` is the documents' `source` attribute.
    """

    path: UserPath
    columns: Columns = "own"
    column_names: Mapping[ColumnName, str] = Field(default_factory=dict)
    unknown_licence: UnknownLicence | None = None
    source: str = "github"


class JsonLinesSource(_Records):
    """JSON lines, plain or compressed (gz, bz2, zst): a file, or all `*.jsonl*` below a folder."""

    kind: Literal["json-lines"]


class ParquetSource(_Records):
    """Parquet: a file, or all `*.parquet` below a folder; only the columns needed are read."""

    kind: Literal["parquet"]


def _ascending(bounds: tuple[int, ...]) -> tuple[int, ...]:
    if list(bounds) != sorted(bounds):
        raise ValueError("the lowest scores of the bins must be in ascending order")
    return bounds


Bins = Annotated[tuple[int, ...], Field(min_length=1), AfterValidator(_ascending)]


class StackOverflowSource(Recipe):
    """A Stack Exchange dump: a folder with `Posts.xml` and `Comments.xml`, a 7z, or a folder with 7z files.

    A document is a question with its answers and comments, as in the paper. The authors' code takes fewer:
    `min_answers = 1`, `min_answer_score = 0`, `max_answers = 10`, `max_comments = 5`.

    Names of users (`@jane:`) at the start of comments are removed, unless `mentions = true`. The paper keeps
    them; its authors' code removes every word that begins with an @, in code as well.

    `question_bins` and `answer_bins` are the lowest scores of the bins of `dscore`; by default they are
    computed from the dump's scores. The authors use 0, 1, 2, 3, 6, 11 and 0, 1, 2, 4, 7, 14.
    """

    kind: Literal["stackoverflow"]
    path: UserPath
    min_answers: NonNegativeInt = 0
    min_answer_score: int | None = None
    max_answers: NonNegativeInt | None = None
    max_comments: NonNegativeInt | None = None
    fabricated: bool = False
    mentions: bool = False
    question_bins: Bins | None = None
    answer_bins: Bins | None = None


ListedSource = FolderSource | GitSource | PackagesSource | StandardLibrarySource

Source = Annotated[
    ListedSource | ArchiveSource | JsonLinesSource | ParquetSource | StackOverflowSource,
    Field(discriminator="kind"),
]
