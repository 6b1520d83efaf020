"""The split: which documents are held out. A project is in one split with all its forks and copies.

If there are too few projects, groups of files are held out instead. A group has the files of one name, such
as `queue.py`, `queue.pyi` and `test_queue.py`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources.exclusions import bare_name
from incoder.corpus.sources.source_file import drawn_share
from incoder.errors import IncoderError

TRAIN = "train"
VALIDATION = "validation"
SPLITS = (TRAIN, VALIDATION)

_MAX_HELD_OUT = 0.5  # of all text; if whole projects would hold out more, groups of files are
_TEST = re.compile(r"^test[_-]|[_.-](?:test|spec)$")


@dataclass(frozen=True, slots=True)
class Division:
    """The names of the projects that are held out or, `by_files`, of the groups of files."""

    held_out: frozenset[str]
    by_files: bool = False

    def split_of(self, project: str, path: str) -> str:
        """The split of one document.

        >>> Division(frozenset({"queue"}), by_files=True).split_of("p", "tests/test_queue.py")
        'validation'
        """
        name = file_group(path) if self.by_files else bare_name(project)
        return VALIDATION if name in self.held_out else TRAIN


def division_of(
    num_characters: Mapping[str, int], paths: Callable[[], Iterable[str]], recipe: CorpusRecipe
) -> Division:
    """The division of documents, given the characters of each project and the paths of all documents.

    The paths are read only if the recipe holds out files, if there is one project, or if the drawn projects
    have most of the text.

    Raises:
        IncoderError: the recipe names a project that no source has.
    """
    names = validation_names(num_characters, recipe)
    if recipe.validation_projects or recipe.validation_fraction in (0, 1):
        return Division(names)
    held_out = sum(size for project, size in num_characters.items() if bare_name(project) in names)
    num_projects = len({bare_name(project) for project, size in num_characters.items() if size})
    are_enough = num_projects > 1 and held_out <= _MAX_HELD_OUT * sum(num_characters.values())
    if are_enough and recipe.hold_out == "projects":
        return Division(names)
    groups = {file_group(path) for path in paths()}
    chosen = {name for name in groups if _draw(name, recipe) < recipe.validation_fraction}
    if not chosen and len(groups) > 1:
        chosen = {min(groups, key=lambda name: _draw(name, recipe))}
    return Division(frozenset(chosen if chosen < groups else ()), by_files=True)


def file_group(path: str) -> str:
    """The name that a file shares with its tests and its stubs.

    >>> file_group("a/Queue.test.ts"), file_group("tests/test_queue.py")
    ('queue', 'queue')
    """
    name = PurePosixPath(path).stem.lower()
    return _TEST.sub("", name) or name


def validation_names(projects: Iterable[str], recipe: CorpusRecipe) -> frozenset[str]:
    """The bare names of the projects to hold out: the recipe's, or else a random share by the seed.

    If there are two projects or more and the share is not 0, at least one is held out.

    Raises:
        IncoderError: the recipe names a project that no source has.
    """
    names = {bare_name(project) for project in projects}
    if recipe.validation_projects:
        named = frozenset(name.lower() for name in recipe.validation_projects)
        if missing := sorted(named - names):
            raise IncoderError(
                f"validation_projects must be projects of the sources, got {', '.join(missing)}"
            )
        return named
    chosen = {name for name in names if drawn_for_validation(name, recipe)}
    if not chosen and recipe.validation_fraction > 0 and len(names) > 1:
        chosen = {min(names, key=lambda name: _draw(name, recipe))}
    return frozenset(chosen)


def drawn_for_validation(name: str, recipe: CorpusRecipe) -> bool:
    """Whether the seed holds out the project of this bare name; never if the recipe names the projects."""
    return not recipe.validation_projects and _draw(name, recipe) < recipe.validation_fraction


def _draw(name: str, recipe: CorpusRecipe) -> float:
    return drawn_share(recipe.seed, "split", name)
