"""The prefix tail: the last lines of the prefix, given to the model as the beginning of the infill.

In a prompt, the suffix separates the prefix from the infill. With the prefix tail moved to the end, the
infill directly continues the text before it; and while someone types on that line, the prompt before the
prefix tail stays the same, suffix included, so the cache holds it. To the model it is a hole that begins
earlier. Texts in, texts out.
"""

from itertools import accumulate

from incoder.tokenizer.prefix_tail import filled_lines, first_tail_line, split_lines


def split_tail(text: str, num_lines: int, num_kept: int = 0) -> tuple[str, str]:
    """Split a text before a hole into the part before its prefix tail, and the prefix tail.

    The tail has `num_lines` lines that are not blank (the last line, which the hole is on, counts even if it
    is empty) and the blank lines among them. With 0 it is empty. The first `num_kept` lines of the text are
    never in it, except for the hole's own: between two holes they are the suffix of the first hole. If both
    holes are on one line, the tail of the second is empty.

    >>> split_tail("import os\\n\\nx = 1\\ny = ", 2)
    ('import os\\n\\n', 'x = 1\\ny = ')
    """
    if num_lines == 0:
        return text, ""
    lines = split_lines(text)
    starts = [0, *accumulate(map(len, lines))]
    own_line = len(lines) - (bool(lines) and lines[-1][-1] not in "\r\n")
    first = starts[first_tail_line(filled_lines(lines), own_line, num_lines)]
    if num_kept:
        kept_end = starts[min(num_kept, len(lines))]
        first = max(first, min(kept_end, starts[own_line] or len(text)))
    return text[:first], text[first:]
