"""A line that binds a name which the text after the span uses, and the text before it does not have.

Only the suffix shows the name, so such spans teach a model to read it.
"""

import re

import numpy as np

from incoder.objective.span_kinds.block_text import BlockText, Range, one_of
from incoder.objective.span_kinds.lines import from_line_to_line

_BINDING = re.compile(
    rb"[ \t]*(?:"
    rb"(?:\w+,[ \t]*)?(\w+)[ \t]*(?::[^=\r\n]+)?=(?!=)"
    rb"|(?:async[ \t]+)?for[ \t]+(?:\w+,[ \t]*)?(\w+)[ \t]+in\b"
    rb"|(?:async[ \t]+)?with\b.*\bas[ \t]+(\w+)[ \t]*:"
    rb"|(?:from[ \t]+[\w.]+[ \t]+)?import[ \t]+(?:.*\bas[ \t]+)?(\w+)[ \t]*\r?$"
    rb"|def[ \t]+(\w+)"
    rb")"
)
_WORD_BYTE = re.compile(rb"\w")
_NEAR = 2000  # bytes after the line, in which the name must be used
_FAR = 4000  # bytes before the line, in which it must not
_MAX_TRIES = 8
_MIN_NAME = 2


def draw(text: BlockText, rng: np.random.Generator) -> Range | None:
    """Draw one line; None if none of a few lines binds such a name."""
    if not text.filled:
        return None
    for _ in range(_MAX_TRIES):
        line = one_of(text.filled, rng)
        match = _BINDING.match(text.lines[line])
        name = next(filter(None, match.groups()), b"") if match else b""
        if len(name) < _MIN_NAME:
            continue
        start, end = text.starts[line], text.starts[line + 1]
        is_used = _has_word(text.data[end : end + _NEAR], name)
        if is_used and not _has_word(text.data[max(0, start - _FAR) : start], name):
            return from_line_to_line(text, rng, line, line)
    return None


def _has_word(data: bytes, word: bytes) -> bool:
    place = data.find(word)
    while place >= 0:
        end = place + len(word)
        if not _WORD_BYTE.match(data, end) and not (place and _WORD_BYTE.match(data, place - 1)):
            return True
        place = data.find(word, end)
    return False
