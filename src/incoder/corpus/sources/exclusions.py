"""Projects and paths that are left out by name: the recipe's, vendored copies, minified code.

The names of vendored folders are from linguist's vendor.yml; the authors' code has only `node_modules` and
`.min.`.
"""

import fnmatch
import re
from collections.abc import Callable
from unicodedata import category

from incoder.corpus.decontamination.held_out import HeldOutProjects
from incoder.corpus.decontamination.repositories import ListedRepositories
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources.source_file import SourceFile
from incoder.corpus.text.filter_settings import FilterSettings

_VENDORED = re.compile(
    r"(?:^|/)(?:node_modules|bower_components|jspm_packages|vendors?|_vendor|_vendored|vendored|"
    r"third[-_]?party|3rd[-_]?party|externals?|extern|Godeps|Carthage|Pods|\.?yarn/(?:releases|plugins)|"
    r"site-packages|dist-packages|\.venv|virtualenv)/",
    re.IGNORECASE,
)
# Names that people give to files with nothing but secrets; `tokens.py` and `keys.py` are code as a rule.
_SECRET_NAME = re.compile(
    r"(?:^|/)(?:secrets?|credentials?|passwords?|passwd|private[_-]?keys?|local[_-]settings|settings[_-]local)"
    r"\.[^/]*$",
    re.IGNORECASE,
)
_MINIFIED = re.compile(r"[.-]min\.(?:js|mjs|cjs|css|html?)$", re.IGNORECASE)

Exclusion = Callable[[SourceFile], str | None]


def exclusion_of(recipe: CorpusRecipe) -> Exclusion:
    """Return a function that says why a file is excluded, or None if it is not.

    Raises:
        IncoderError: a list of projects or repositories cannot be read, or names nothing.
    """
    names = {name.lower() for name in recipe.exclude_projects}
    held_out = HeldOutProjects(recipe.decontamination)
    listed = ListedRepositories(recipe.decontamination)
    patterns = [re.compile(fnmatch.translate(pattern)) for pattern in recipe.exclude]

    def exclusion(file: SourceFile) -> str | None:
        if reason := held_out.reason(file.project, file.path):
            return reason
        if bare_name(file.project) in names:
            return "excluded project"
        if any(pattern.match("/" + file.path) for pattern in patterns):
            return "excluded path"
        return listed.reason(file.project)

    return exclusion


def bare_name(project: str) -> str:
    """A project's name without its owner and in lower case, so that forks and copies have the same."""
    return project.rpartition("/")[2].lower()


def unprintable_reason(*names: str) -> str | None:
    """Why a name cannot be written: it has line ends or bytes that are no UTF-8; None if all names can."""
    for name in names:
        if name.isprintable():
            continue
        if not all(character.isprintable() or category(character) == "Zs" for character in name):
            return "unprintable path"
    return None


def path_reason(path: str, settings: FilterSettings) -> str | None:
    """The first of the recipe's rules that the path breaks, or None.

    >>> path_reason("node_modules/a/index.js", FilterSettings())
    'vendored'
    """
    if ".." in re.split(r"[/\\]", path):
        return "path leads out of its project"
    if settings.vendored and vendored(path):
        return "vendored"
    if settings.minified and minified(path):
        return "minified"
    if settings.secret_names and has_secret_name(path):
        return "named after secrets"
    return None


def vendored(path: str) -> bool:
    return _VENDORED.search(path) is not None


def has_secret_name(path: str) -> bool:
    """Whether a file's name says that it holds secrets.

    >>> has_secret_name("deploy/credentials.py"), has_secret_name("tests/test_credentials.py")
    (True, False)
    """
    return _SECRET_NAME.search(path) is not None


def minified(path: str) -> bool:
    return _MINIFIED.search(path) is not None
