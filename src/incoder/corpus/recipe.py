"""The recipe of a corpus: the schema of `corpus.toml`.

The defaults are the paper's (section 3.1 and appendix A.1) where the paper is followed by the authors' code;
where the two differ, the field says which one it follows.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, model_validator

from incoder.config import Recipe
from incoder.corpus.decontamination.decontamination_settings import DecontaminationSettings
from incoder.corpus.deduplication.deduplication_settings import DeduplicationSettings
from incoder.corpus.engine.engine_settings import EngineSettings
from incoder.corpus.licences.expressions import PERMISSIVE, licence_id
from incoder.corpus.sources.source_settings import Source
from incoder.corpus.text.bins import NUM_BINS
from incoder.corpus.text.filter_settings import FilterSettings, Share
from incoder.corpus.text.languages import AMBIGUOUS, LANGUAGES, AmbiguousRule, language_named

RECIPE = "recipe.toml"  # the file in a corpus's folder that has the recipe it was built from
NOT_IN_THE_CORPUS = frozenset({"engine"})  # sections that do not change the documents


def _known_extension(extension: str) -> str:
    if extension not in LANGUAGES:
        raise ValueError("must be one of .py, .js, .java and so on: the extensions of the 28 languages")
    return extension


Bounds = Annotated[tuple[int, ...], Field(min_length=NUM_BINS, max_length=NUM_BINS)]


class AttributeSettings(Recipe):
    """The attributes that are written into a document, and the share of documents that get them.

    `dstars` is a bin from 0 to 5 of the stars of the document's repository, if they are known. The bins are
    quantiles among the repositories of the same source and language, or `star_bounds` has the lowest stars of
    each bin for a language. Repositories of GitLab have too few stars for bins.
    """

    names: tuple[Literal["ext", "source", "filename", "dstars"], ...] = (
        "ext",
        "source",
        "filename",
        "dstars",
    )
    rate: Share = 1.0
    star_bounds: dict[str, Bounds] = Field(default_factory=dict)


class CorpusRecipe(Recipe):
    """A corpus from its sources to its split.

    A file is taken if its language is in `languages` or its extension in `extensions`; if only languages are
    named, no single extensions are taken. `ambiguous_extensions` decides about extensions such as `.m`, which
    languages outside the 28 have as well: files are taken by their extension, as in the paper; left out if
    their content shows the other language; or left out altogether.

    `exclude` are patterns on a file's path within its project, with a slash in front; `*` crosses folders:
    `*/vendor/*` leaves out every folder of that name. `exclude_projects` and `validation_projects` are
    compared without the owner and without case. If `validation_projects` is empty, `validation_fraction` of
    the projects are drawn, and at least one if there are two. With `hold_out = "files"` that share of the
    groups of files is drawn from all projects: for a model of the very projects that it learns from.
    """

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    seed: NonNegativeInt = 0
    licences: tuple[Annotated[str, AfterValidator(licence_id)], ...] = PERMISSIVE
    languages: tuple[Annotated[str, AfterValidator(language_named)], ...] = ()
    extensions: tuple[Annotated[str, AfterValidator(_known_extension)], ...] = (".py",)
    ambiguous_extensions: AmbiguousRule = "extension"
    exclude: tuple[str, ...] = ()
    exclude_projects: tuple[str, ...] = ()
    filters: FilterSettings = FilterSettings()
    redact_emails: bool = True
    redact_ips: bool = False
    redact_keys: bool = False
    decontamination: DecontaminationSettings = DecontaminationSettings()
    deduplicate: bool = True
    deduplication: DeduplicationSettings = DeduplicationSettings()
    attributes: AttributeSettings = AttributeSettings()
    engine: EngineSettings = EngineSettings()
    hold_out: Literal["projects", "files"] = "projects"
    validation_fraction: Share = 0.01
    validation_projects: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _languages_alone(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("languages") and "extensions" not in values:
            return {**values, "extensions": ()}
        return values

    @model_validator(mode="after")
    def _near_needs_deduplicate(self) -> Self:
        if self.deduplication.near and not self.deduplicate:
            raise ValueError("deduplication.near must not be true where deduplicate is false; remove one")
        return self

    @model_validator(mode="after")
    def _projects_or_files(self) -> Self:
        if self.hold_out == "files" and self.validation_projects:
            raise ValueError('validation_projects are whole projects, and hold_out is "files"; remove one')
        return self

    @property
    def taken_extensions(self) -> frozenset[str]:
        """The extensions of all files that are taken."""
        chosen = {*self.extensions}
        chosen |= {extension for extension, language in LANGUAGES.items() if language in self.languages}
        return frozenset(chosen - AMBIGUOUS if self.ambiguous_extensions == "leave-out" else chosen)
