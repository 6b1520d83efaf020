"""Syntax errors in the trees of tree-sitter, an optional extra: of many languages, and of broken files.

The text with the first candidate is parsed whole. For the others, tree-sitter parses only the statements
again that the infills are in.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

from incoder.inference.syntax_errors.filled_text import FilledText, to_bytes

if TYPE_CHECKING:
    from tree_sitter import Language, Tree

# The module of each language's grammar, and the function in it.
GRAMMARS: Final = {
    "C": ("tree_sitter_c", "language"),
    "C#": ("tree_sitter_c_sharp", "language"),
    "C++": ("tree_sitter_cpp", "language"),
    "Go": ("tree_sitter_go", "language"),
    "Java": ("tree_sitter_java", "language"),
    "JavaScript": ("tree_sitter_javascript", "language"),
    "PHP": ("tree_sitter_php", "language_php"),
    "Python": ("tree_sitter_python", "language"),
    "Ruby": ("tree_sitter_ruby", "language"),
    "Rust": ("tree_sitter_rust", "language"),
    "Shell": ("tree_sitter_bash", "language"),
    "TypeScript": ("tree_sitter_typescript", "language_typescript"),
    "TSX": ("tree_sitter_typescript", "language_tsx"),
}


@cache
def grammar(language: str) -> "Language | None":
    """Return the grammar of a language; None if there is none, or it is not installed.

    >>> grammar("Klingon") is None
    True
    """
    if language not in GRAMMARS:
        return None
    module, function = GRAMMARS[language]
    try:
        from tree_sitter import Language

        return Language(getattr(import_module(module), function)())
    except (ImportError, ValueError):  # a ValueError: the grammar is of another version than the library
        return None


def num_tree_errors(texts: Sequence[FilledText], grammar: "Language") -> list[int]:
    """Count the syntax errors in each text; the texts have the same parts around their infills."""
    from tree_sitter import Parser

    parser = Parser(grammar)
    first, *others = [_Source(*_bytes_and_holes(text)) for text in texts]
    tree = parser.parse(first.data)
    trees = [parser.parse(other.data, _edited(tree, first, other)) for other in others]
    return [num_errors(one) for one in (tree, *trees)]


def num_errors(tree: "Tree") -> int:
    """Count the places where the parser skipped or invented something."""
    count, waiting = 0, [tree.root_node]
    while waiting:
        node = waiting.pop()
        count += node.is_error or node.is_missing
        if node.has_error:
            waiting += node.children
    return count


class _Source(NamedTuple):
    """A text as bytes, and where its first hole begins and its last hole ends."""

    data: bytes
    start: int
    end: int

    def point(self, place: int) -> tuple[int, int]:
        """Return the line and the column of a place, both from 0."""
        return self.data.count(b"\n", 0, place), place - self.data.rfind(b"\n", 0, place) - 1


def _bytes_and_holes(text: FilledText) -> tuple[bytes, int, int]:
    data = to_bytes(text.text)
    return data, len(to_bytes(text.around[0])), len(data) - len(to_bytes(text.around[-1]))


def _edited(tree: "Tree", old: _Source, new: _Source) -> "Tree":
    """Return a copy of the tree of the old text that knows what the new text has replaced."""
    copy = tree.copy()
    copy.edit(
        start_byte=old.start,
        old_end_byte=old.end,
        new_end_byte=new.end,
        start_point=old.point(old.start),
        old_end_point=old.point(old.end),
        new_end_point=new.point(new.end),
    )
    return copy
