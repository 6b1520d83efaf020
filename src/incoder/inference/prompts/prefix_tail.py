"""The prefix tail: the last lines of the prefix, given to the model as the beginning of the infill.

A prompt with a suffix ends far from the text before the hole. With the prefix tail moved to the end, the
infill follows directly on the text before it; and while someone types on that line, all that comes before the
prefix tail stays as it was, suffix included, and need not be read again. To the model it is a hole that began
earlier. Texts in, texts out.
"""

from itertools import accumulate

from incoder.tokenizer.prefix_tail import filled_lines, first_tail_line, split_lines


def split_tail(text: str, num_lines: int, num_kept: int = 0) -> tuple[str, str]:
    """The text before the prefix tail, and the tail: the beginning of the last line, and lines before it.

    The tail has `num_lines` lines that are not blank, its last one counted even if it is empty, and the blank
    ones among them. With 0 it is empty. The first `num_kept` lines of the text are never in it, except for
    the hole's own: in a text between two holes they show the first hole what comes after it. If both holes
    are on one line, the tail of the second is empty.

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
