"""A repository's stars as an attribute: its bin among the repositories of one source and language.

The bounds of the bins (bins.py) are known only after all documents are read, so this attribute is added last.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from incoder.corpus.recipe import AttributeSettings
from incoder.corpus.text.attributes import carries_attributes
from incoder.corpus.text.bins import bin_of, lower_bounds
from incoder.corpus.text.languages import LANGUAGES, extension_of
from incoder.document import Document

_FEW_STARS = "gitlab"  # whose repositories have too few to be of use (the authors' code)

# Source and language to the stars of each repository.
FoundStars = dict[tuple[str, str], dict[str, int]]


def note_stars(document: Document, found: FoundStars) -> None:
    """Record the stars of a document's repository, once for each of the repository's languages."""
    group = _group(document.source, document.path)
    if document.stars is not None and group is not None:
        found.setdefault(group, {})[document.project] = document.stars


@dataclass(frozen=True, slots=True)
class StarBins:
    """The lowest stars of each bin, by source and language."""

    bounds: Mapping[tuple[str, str], tuple[int, ...]]
    settings: AttributeSettings
    seed: int

    @classmethod
    def of(cls, found: Iterable[FoundStars], settings: AttributeSettings, seed: int) -> "StarBins":
        """Compute the bounds from all repositories' stars, unless the recipe has a language's bounds."""
        if "dstars" not in settings.names:
            return cls({}, settings, seed)
        repositories = defaultdict[tuple[str, str], dict[str, int]](dict)
        for stars in found:
            for group, counts in stars.items():
                repositories[group] |= counts
        bounds = {
            group: settings.star_bounds.get(group[1]) or lower_bounds(Counter(counts.values()))
            for group, counts in repositories.items()
        }
        return cls(bounds, settings, seed)

    def bin(self, project: str, path: str, source: str, stars: int | None) -> int | None:
        """The value of `dstars` for one document; None if it does not get this attribute."""
        group = _group(source, path)
        if stars is None or group is None or group not in self.bounds:
            return None
        if not carries_attributes(project, path, self.settings, self.seed):
            return None
        return bin_of(stars, self.bounds[group])


def _group(source: str, path: str) -> tuple[str, str] | None:
    language = LANGUAGES.get(extension_of(path))
    return None if language is None or source == _FEW_STARS else (source, language)
