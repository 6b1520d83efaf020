"""Text as a Python string literal in triple quotes, and back to the byte.

A text with backslashes becomes a raw literal where it can be one, as docstrings are written; else what would
end the literal or mean something else in it is escaped.
"""

import ast
import re

QUOTES = ('"""', "'''", '"', "'")
_LITERAL = re.compile(r"""([rRuU]?)("{3}|'{3}|"|')""")


def as_literal(text: str, quote: str = '"""') -> str:
    """A literal of this text, whose line ends are `\\n`, in these triple quotes."""
    if "\\" in text and is_fit_for_raw(text, quote):
        return f"r{quote}{text}{quote}"
    return f"{quote}{escaped(text, quote)}{quote}"


def escaped(text: str, quote: str) -> str:
    """The text as it stands between these quotes in a literal that is not raw."""
    mark = quote[0]
    safe = text.replace("\\", "\\\\").replace(quote, f"\\{mark}" * len(quote))
    front = safe.removesuffix(mark)
    is_escaped = (len(front) - len(front.rstrip("\\"))) % 2 == 1
    return safe if front == safe or is_escaped else f"{front}\\{mark}"


def is_fit_for_raw(text: str, quote: str) -> bool:
    """Whether the text can stand as it is between these quotes in a raw literal."""
    return quote not in text and not text.endswith(("\\", quote[0]))


def opening(literal: str) -> tuple[bool, str] | None:
    """Whether a literal is raw, and its quote; None where it is more than one literal in a row."""
    match = _LITERAL.match(literal)
    if match is None:
        return None
    is_raw, quote = match[1] in ("r", "R"), match[2]
    content = literal[match.end() : len(literal) - len(quote)]
    whole = re.compile(rf"(?:\\.|(?!{quote}).)*", re.DOTALL)
    return (is_raw, quote) if literal.endswith(quote) and whole.fullmatch(content) else None


def value(literal: str) -> str | None:
    """What a literal means, None where it is none."""
    try:
        found = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        return None
    return found if isinstance(found, str) else None
