"""The text of a docstring, between its quotes."""

import re

import numpy as np

from incoder.objective.span_kinds.block_text import TRIPLE_QUOTES, BlockText, Range, one_of

_PARAGRAPH_END = re.compile(rb"\r?\n[ \t]*\r?\n")
_SUMMARY = 0.5  # the share of spans that end with the first paragraph
_MAX_BYTES = 800


def draw(text: BlockText, rng: np.random.Generator) -> Range | None:
    """Draw a docstring's first paragraph or all of it; a docstring is a triple-quoted string on its own."""
    found = [content for content in text.strings if _is_docstring(text, content[0])]
    if not found:
        return None
    start, end = one_of(found, rng)
    paragraph_end = _PARAGRAPH_END.search(text.data, start, end)
    if paragraph_end and (rng.random() < _SUMMARY or end - start > _MAX_BYTES):
        end = paragraph_end.start()
    return (start, end) if 0 < end - start <= _MAX_BYTES else None


def _is_docstring(text: BlockText, start: int) -> bool:
    """Whether content that starts here is triple-quoted, and nothing else is before it on its line."""
    if text.data[start - 3 : start] not in TRIPLE_QUOTES:
        return False
    before = text.data[text.starts[text.line_of(start - 3)] : start - 3]
    return not before.strip(b" \trRuU")
