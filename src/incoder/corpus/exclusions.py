"""Which projects and paths a recipe leaves out by name."""

import fnmatch
import re
from collections.abc import Callable

from incoder.corpus.decontamination import ListedRepositories
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.source_file import SourceFile

Exclusion = Callable[[SourceFile], str | None]


def exclusion_of(recipe: CorpusRecipe) -> Exclusion:
    """A function that says why a file is excluded, or None where it is not.

    Raises:
        IncoderError: a list of repositories cannot be read, or names nothing.
    """
    names = {name.lower() for name in recipe.exclude_projects}
    listed = ListedRepositories(recipe.decontamination)
    patterns = [re.compile(fnmatch.translate(pattern)) for pattern in recipe.exclude]

    def exclusion(file: SourceFile) -> str | None:
        if bare_name(file.project) in names:
            return "excluded project"
        if any(pattern.match("/" + file.path) for pattern in patterns):
            return "excluded path"
        return listed.reason(file.project)

    return exclusion


def bare_name(project: str) -> str:
    """A project's name without its owner and in lower case, so that forks and copies have the same."""
    return project.rpartition("/")[2].lower()
