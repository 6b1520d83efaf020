"""Lines as words, and what differs between two lines."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_TOKEN = re.compile(r"\w+|[^\S\n]+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Replacement:
    """Tokens `old[old_start:old_end]` of one line that are `new[new_start:new_end]` in another."""

    old_start: int
    old_end: int
    new_start: int
    new_end: int


def tokens_of(line: str) -> list[str]:
    """Return the words, runs of blanks and other characters of a line; joined, they are the line.

    >>> tokens_of("x = f(1)")
    ['x', ' ', '=', ' ', 'f', '(', '1', ')']
    """
    return _TOKEN.findall(line)


def replacements(old: Sequence[str], new: Sequence[str]) -> list[Replacement]:
    """Return what is replaced, inserted or deleted between two lists of tokens.

    >>> replacements(tokens_of("f(a)"), tokens_of("f(b)"))
    [Replacement(old_start=2, old_end=3, new_start=2, new_end=3)]
    """
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    return [Replacement(*place) for tag, *place in matcher.get_opcodes() if tag != "equal"]


def similarity(first: str, second: str) -> float:
    """Return Dice's coefficient of the tokens of two lines, blanks left out: 1 for equal lines, else less.

    >>> similarity("x = 1", "x = 2"), similarity("x = 1", "return")
    (0.6666666666666666, 0.0)
    """
    one, other = (
        Counter(token for token in tokens_of(line) if not token.isspace()) for line in (first, second)
    )
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 0.0
