"""Python string literals in triple quotes that have exactly a given text as their value.

A text with backslashes becomes a raw literal if it can, as docstrings are usually written. Otherwise the
characters that would end the literal or change its value are escaped.
"""

import ast
import re

QUOTES = ('"""', "'''", '"', "'")
_LITERAL = re.compile(r"""([rRuU]?)("{3}|'{3}|"|')""")


def as_literal(text: str, quote: str = '"""') -> str:
    """A literal with this value in these triple quotes; the text's line ends are `\\n`.

    >>> print(as_literal("Match \\\\d."))
    r\"\"\"Match \\d.\"\"\"
    """
    if "\\" in text and is_fit_for_raw(text, quote):
        return f"r{quote}{text}{quote}"
    return f"{quote}{escaped(text, quote)}{quote}"


def escaped(text: str, quote: str) -> str:
    """The source text of this value between these quotes, in a literal that is not raw."""
    mark = quote[0]
    safe = text.replace("\\", "\\\\").replace(quote, f"\\{mark}" * len(quote))
    front = safe.removesuffix(mark)
    is_escaped = (len(front) - len(front.rstrip("\\"))) % 2 == 1
    return safe if front == safe or is_escaped else f"{front}\\{mark}"


def is_fit_for_raw(text: str, quote: str) -> bool:
    """Whether a raw literal in these quotes can hold the text unchanged."""
    return quote not in text and not text.endswith(("\\", quote[0]))


def opening(literal: str) -> tuple[bool, str] | None:
    """Whether a literal is raw, and its quotes; None if the text is more than one literal in a row."""
    match = _LITERAL.match(literal)
    if match is None:
        return None
    is_raw, quote = match[1] in ("r", "R"), match[2]
    content = literal[match.end() : len(literal) - len(quote)]
    whole = re.compile(rf"(?:\\.|(?!{quote}).)*", re.DOTALL)
    return (is_raw, quote) if literal.endswith(quote) and whole.fullmatch(content) else None


def value(literal: str) -> str | None:
    """The value of a string literal, None if the text is no string literal."""
    try:
        found = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        return None
    return found if isinstance(found, str) else None
