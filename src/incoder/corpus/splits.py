"""Which projects are held out. A whole project is on one side, and so are its forks and copies."""

from collections.abc import Iterable

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources.exclusions import bare_name
from incoder.corpus.sources.source_file import drawn_share
from incoder.errors import IncoderError

TRAIN = "train"
VALIDATION = "validation"
SPLITS = (TRAIN, VALIDATION)


def validation_names(projects: Iterable[str], recipe: CorpusRecipe) -> frozenset[str]:
    """The bare names of the projects to hold out: those that the recipe names, or else a share by the seed.

    Where there are two projects or more and a share is asked for, at least one is held out.

    Raises:
        IncoderError: the recipe names a project that no source has.
    """
    names = {bare_name(project) for project in projects}
    if recipe.validation_projects:
        wanted = frozenset(name.lower() for name in recipe.validation_projects)
        if missing := sorted(wanted - names):
            raise IncoderError(
                f"validation_projects must be projects of the sources, got {', '.join(missing)}"
            )
        return wanted
    chosen = {name for name in names if drawn_for_validation(name, recipe)}
    if not chosen and recipe.validation_fraction > 0 and len(names) > 1:
        chosen = {min(names, key=lambda name: _draw(name, recipe))}
    return frozenset(chosen)


def drawn_for_validation(name: str, recipe: CorpusRecipe) -> bool:
    """Whether the seed holds out the project of this bare name, where the recipe names none."""
    return not recipe.validation_projects and _draw(name, recipe) < recipe.validation_fraction


def _draw(name: str, recipe: CorpusRecipe) -> float:
    return drawn_share(recipe.seed, "split", name)
