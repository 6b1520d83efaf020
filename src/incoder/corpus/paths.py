"""What a path alone says against a file: copies of other projects, and minified code.

The folder names are those of linguist's vendor.yml that hold third-party code by convention; the authors'
code has `node_modules` and `.min.` only.
"""

import re
from unicodedata import category

from incoder.corpus.filter_settings import FilterSettings

_VENDORED = re.compile(
    r"(?:^|/)(?:node_modules|bower_components|jspm_packages|vendors?|_vendor|_vendored|vendored|"
    r"third[-_]?party|3rd[-_]?party|externals?|extern|Godeps|Carthage|Pods|\.?yarn/(?:releases|plugins)|"
    r"site-packages|dist-packages|\.venv|virtualenv)/",
    re.IGNORECASE,
)
_MINIFIED = re.compile(r"[.-]min\.(?:js|mjs|cjs|css|html?)$", re.IGNORECASE)


def unprintable_reason(*names: str) -> str | None:
    """Why one of the names cannot be written: line ends, or bytes that are no UTF-8; wide blanks can."""
    for name in names:
        if name.isprintable():
            continue
        if not all(character.isprintable() or category(character) == "Zs" for character in name):
            return "unprintable path"
    return None


def path_reason(path: str, settings: FilterSettings) -> str | None:
    """The first rule that the path breaks, of those that the recipe asks for, or None."""
    if ".." in re.split(r"[/\\]", path):
        return "path leads out of its project"
    if settings.vendored and vendored(path):
        return "vendored"
    if settings.minified and minified(path):
        return "minified"
    return None


def vendored(path: str) -> bool:
    return _VENDORED.search(path) is not None


def minified(path: str) -> bool:
    return _MINIFIED.search(path) is not None
