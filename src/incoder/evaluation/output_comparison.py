"""Compare a program's output with the expected one, by the rules of SAFIM's executor (ExecEval).

Two outputs are the same if their lines are equal apart from white space around each, or if their words are
the same. Numbers may differ by 1e-12; `yes`, `no`, `true` and `false` match in any case; all other words
match exactly. One rule differs: in ExecEval every number equals `nan`, here `nan` equals only itself.
"""

import re
from decimal import Decimal, DecimalException, localcontext

_TOLERANCE = Decimal("1e-12")
_ANSWERS = frozenset(("yes", "no", "true", "false"))
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
_MAX_NUMBER = 1000  # characters; longer numbers are compared as text


def is_same_output(printed: str, expected: str) -> bool:
    """Whether the printed output counts as the expected one.

    >>> is_same_output("YES  0.1\\n", "yes 0.10")
    True
    """
    printed, expected = printed.strip(), expected.strip()
    lines, expected_lines = printed.split("\n"), expected.split("\n")
    if [line.strip() for line in lines] == [line.strip() for line in expected_lines]:
        return True
    words, expected_words = printed.split(), expected.split()
    return len(words) == len(expected_words) and all(map(_is_same_word, words, expected_words))


def _is_same_word(one: str, other: str) -> bool:
    if one == other:
        return True
    if one.lower() in _ANSWERS:
        return one.lower() == other.lower()
    if not all(len(word) <= _MAX_NUMBER and _NUMBER.fullmatch(word) for word in (one, other)):
        return False
    with localcontext() as context:
        context.prec = 2 * _MAX_NUMBER
        try:
            return abs(Decimal(one) - Decimal(other)) <= _TOLERANCE
        except DecimalException:  # exponents further apart than any precision reaches
            return False
