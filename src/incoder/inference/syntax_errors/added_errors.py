"""Whether infills add syntax errors to those that the text around their holes has.

Python's own parser decides where it can. Otherwise tree-sitter does if it is installed with the language's
grammar, and else the scanner's brackets and strings. A hole left empty would be an error itself, so the
candidate with the fewest errors shows how many the text around has.
"""

from collections.abc import Sequence
from pathlib import PurePath

from incoder.corpus.text.languages import LANGUAGES
from incoder.inference.syntax.languages import PYTHON, UNKNOWN, syntax_of
from incoder.inference.syntax_errors import python_windows
from incoder.inference.syntax_errors.bracket_errors import num_bracket_errors
from incoder.inference.syntax_errors.filled_text import FilledText
from incoder.inference.syntax_errors.syntax_trees import grammar, num_tree_errors

_MAX_LENGTH = 1 << 18  # characters of a file that is read whole: 8,000 lines


def adds_errors(
    around: Sequence[str], candidates: Sequence[Sequence[str]], path: str | PurePath | None
) -> list[bool]:
    """Return for each candidate whether its infills add errors to the text between the parts `around`.

    All lines end with `\\n`. The extension of `path` names the language. Nothing is known about a text that
    only goes on, without a hole.

    >>> adds_errors(["f(", ")\\n"], [["x"], ["x)"]], PurePath("a.py"))
    [False, True]
    """
    if len(around) < 2 or len(set(map(tuple, candidates))) < 2:
        return [False] * len(candidates)
    texts = [FilledText(tuple(around), tuple(infills)) for infills in candidates]
    counts = _num_errors(texts, path)
    return [count > min(counts) for count in counts]


def _num_errors(texts: Sequence[FilledText], path: str | PurePath | None) -> Sequence[int]:
    syntax = syntax_of(path, texts[0].around[0])
    if syntax in (PYTHON, UNKNOWN):
        parsing = python_windows.parsing(texts)
        if parsing is not None:
            return [not each for each in parsing]
    if max(len(text.text) for text in texts) > _MAX_LENGTH:
        return [0] * len(texts)
    found = grammar(_language(path))
    return num_bracket_errors(texts, syntax) if found is None else num_tree_errors(texts, found)


def _language(path: str | PurePath | None) -> str:
    extension = "" if path is None else PurePath(path).suffix.lower()
    return "TSX" if extension == ".tsx" else LANGUAGES.get(extension, "")
