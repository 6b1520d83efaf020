"""The indentation of a suggestion, in the style of its file.

A small model may write tabs into a file with spaces, blocks of two columns into one with four, or indent a
line that is indented already.
"""

import re
from collections import Counter
from itertools import pairwise

from incoder.editing.lines import indentation
from incoder.inference.decoding.stopping_rules.hole import Hole

_TAB, _DEFAULT_UNIT = "\t", 4
_UNITS = (4, 2, 8, 3)  # columns of a block, the most usual first
_OPENS_BLOCK = re.compile(r"[:{(\[]\s*\Z")


def without_double_indentation(hole: Hole, text: str) -> str:
    """Remove indentation at the start of a suggestion for a line that is indented already.

    >>> from incoder.inference.syntax.languages import PYTHON
    >>> without_double_indentation(Hole(b"def f(x):\\n    y = x\\n    ", b"\\n", PYTHON), "    return y")
    'return y'
    """
    own, surplus = _decoded(hole.own_line), indentation(text)
    stack = hole.stack
    is_in_expression = bool(stack) and not (stack[-1].is_bracket and stack[-1].closing == b"}")
    if not own or own.strip() or not surplus or not hole.lines_before or is_in_expression:
        return text
    before = _decoded(hole.lines_before[-1])
    if _OPENS_BLOCK.search(before) and len(own) <= len(indentation(before)):
        return text
    first, *others = text.split("\n")
    shifted = [
        own + line.removeprefix(own + surplus) if line.startswith(own + surplus) else line for line in others
    ]
    return "\n".join([first.removeprefix(surplus), *shifted])


def in_style_of(hole: Hole, text: str) -> str:
    """Indent the lines of a suggestion by tabs or spaces, and by as many, as the lines around its hole.

    A suggestion whose indentation does not consist of whole blocks stays as it is.

    >>> from incoder.inference.syntax.languages import syntax_of
    >>> in_style_of(Hole(b"func f() {\\n\\t", b"\\n}\\n", syntax_of("a.go")), "for {\\n        g()\\n    }")
    'for {\\n\\t\\tg()\\n\\t}'
    """
    if "\n" not in text or hole.is_in_text:
        return text
    around = [_decoded(line) for lines in (hole.lines_before, hole.lines_after) for line in lines]
    own = _decoded(hole.own_line)
    made = (own + text).split("\n")
    num_tabs = sum(line.startswith(_TAB) for line in [*around, own])
    num_spaces = sum(line.startswith("  ") for line in [*around, own])
    if num_tabs > num_spaces:
        changed = _by_tabs(made)
    elif num_spaces:
        changed = _by_spaces(made, _unit(around) or _DEFAULT_UNIT)
    else:
        return text
    return "\n".join(changed)[len(own) :]


def _by_tabs(lines: list[str]) -> list[str]:
    """Replace the spaces that lines begin with by tabs: the number of columns that fits is found by trial."""
    spaced = [line for line in lines[1:] if line.startswith("  ") and line.strip()]
    base = len(indentation(lines[0])) if lines[0].startswith(_TAB) or not indentation(lines[0]) else None
    if not spaced or base is None:
        return lines
    for unit in _UNITS:
        depths = [_depth(line, unit) for line in lines]
        if None in depths:
            continue
        opens = _OPENS_BLOCK.search(lines[0]) is not None
        following = next(depth for line, depth in zip(lines[1:], depths[1:], strict=True) if line.strip())
        if following is not None and following <= base + 1 and (following == base + 1 or not opens):
            return [
                line if not line.strip() else _TAB * (depth or 0) + line.lstrip(" \t")
                for line, depth in zip(lines, depths, strict=True)
            ]
    return lines


def _by_spaces(lines: list[str], unit: int) -> list[str]:
    """Replace tabs by spaces, and scale blocks of another width to `unit` columns."""
    first, *others = (line.expandtabs(unit) if _TAB in indentation(line) else line for line in lines)
    lines = [first, *others]
    base, own_unit = len(indentation(first)), _unit([line for line in lines if line.strip()])
    relative = [len(indentation(line)) - base for line in others if line.strip()]
    if own_unit is None or own_unit == unit or any(each % own_unit or each < 0 for each in relative):
        return lines
    scaled = [
        " " * (base + (len(indentation(line)) - base) // own_unit * unit) + line.lstrip(" ")
        if line.strip()
        else line
        for line in others
    ]
    return [first, *scaled]


def _depth(line: str, unit: int) -> int | None:
    """Return how many blocks deep a line is, by tabs or units of spaces; None if that is no whole number."""
    blanks = indentation(line)
    num_tabs, num_spaces = blanks.count(_TAB), blanks.count(" ")
    if not line.strip():
        return 0
    return None if num_spaces % unit else num_tabs + num_spaces // unit


def _unit(lines: list[str]) -> int | None:
    """Return the most frequent number of spaces by which a block is deeper than the line that opens it."""
    units = Counter(
        len(indentation(following)) - len(indentation(line))
        for line, following in pairwise(lines)
        if _OPENS_BLOCK.search(line) and _TAB not in indentation(line) + indentation(following)
    )
    deeper = {unit: count for unit, count in units.items() if unit > 1}
    return max(deeper, key=deeper.__getitem__, default=None)


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "replace")  # what is far from the hole is cut, also within a character
