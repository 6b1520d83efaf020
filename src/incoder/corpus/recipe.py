"""What a corpus is made of: the schema of `corpus.toml`.

The defaults are the paper's (section 3.1 and appendix A.1) where the paper is followed by the authors' code;
where they differ, the field says which it follows.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from incoder.config import Recipe, UserPath
from incoder.corpus.languages import LANGUAGES
from incoder.corpus.licences import PERMISSIVE

Share = Annotated[float, Field(ge=0, le=1)]


def _known_extension(extension: str) -> str:
    if extension not in LANGUAGES:
        raise ValueError(f"must be one of {', '.join(LANGUAGES)}")
    return extension


class _Source(Recipe):
    """What all sources share: bounds on how much is taken, as a sample that depends on the seed alone."""

    max_bytes: PositiveInt | None = None
    max_project_bytes: PositiveInt | None = None


class FolderSource(_Source):
    """Every file below a folder. Hidden files and folders are left out, links are not followed.

    `projects` says what stays on one side of the split: the whole folder, or each entry in it.
    """

    kind: Literal["folder"]
    path: UserPath
    projects: Literal["folder", "entries"] = "folder"
    licence: str | None = None


class GitSource(_Source):
    """The tracked files of a git checkout; the project is `owner/name` from its remote, where it has one."""

    kind: Literal["git"]
    path: UserPath
    licence: str | None = None


class PackagesSource(_Source):
    """Installed Python packages whose metadata names a licence of the recipe's list.

    `path` is a folder such as `site-packages`, by default the running environment; `names` are the only
    packages to take, by default all.
    """

    kind: Literal["packages"]
    path: UserPath | None = None
    names: tuple[str, ...] | None = None


class StandardLibrarySource(_Source):
    """The source of the running Python's standard library; each module or package is a project."""

    kind: Literal["standard-library"]


Source = Annotated[
    FolderSource | GitSource | PackagesSource | StandardLibrarySource, Field(discriminator="kind")
]


class FilterSettings(Recipe):
    """The paper's filters.

    Lines are measured in characters, as in the authors' code; the paper's text says tokens. Files that merely
    mention the GPL are dropped as well, as in the authors' code, which `gpl_phrase` turns off.
    """

    max_file_bytes: PositiveInt = 10_000_000
    max_line_length: PositiveInt = 3000
    max_mean_line_length: PositiveInt = 100
    min_alphanumeric_fraction: Share = 0.40
    generated: bool = True
    gpl_phrase: bool = True


class AttributeSettings(Recipe):
    """Which attributes are written into a document, and into what share of the documents."""

    names: tuple[Literal["ext", "source", "filename"], ...] = ("ext", "source", "filename")
    rate: Share = 1.0


class CorpusRecipe(Recipe):
    """A corpus from its sources to its split.

    `exclude` are patterns on a file's path within its project, with a slash in front; `*` crosses folders:
    `*/vendor/*` leaves out every folder of that name. `exclude_projects` and `validation_projects` are
    compared without the owner and without case. Where `validation_projects` is empty, `validation_fraction`
    of the projects are drawn, and at least one where there are two.
    """

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    seed: NonNegativeInt = 0
    licences: tuple[str, ...] = PERMISSIVE
    extensions: tuple[Annotated[str, AfterValidator(_known_extension)], ...] = (".py",)
    exclude: tuple[str, ...] = ()
    exclude_projects: tuple[str, ...] = ()
    filters: FilterSettings = FilterSettings()
    redact_emails: bool = True
    deduplicate: bool = True
    attributes: AttributeSettings = AttributeSettings()
    validation_fraction: Share = 0.01
    validation_projects: tuple[str, ...] = ()
