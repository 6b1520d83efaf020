"""Line-sized spans: what someone leaves open in an editor, and what single- and multi-line infilling ask for.

The paper's uniform lengths make most spans about half a document long, so that a small model rarely sees a
short fill end. Bytes in, spans of byte positions out. Knows no tokens.
"""

from itertools import accumulate
from typing import NamedTuple

import numpy as np

from incoder.objective.spans import place_spans
from incoder.tokenizer.prefix_tail import filled_lines, first_tail_line, split_lines

_WHOLE_LINES, _FROM_FIRST_CHARACTER = 0.5, 0.75  # cumulative; the rest starts anywhere in the line


class LineSpan(NamedTuple):
    """What is cut out, from `start` to before `end`; what is before `tail_end` is its prefix tail."""

    start: int
    tail_end: int
    end: int


def line_spans(
    num_spans: int, data: bytes, rng: np.random.Generator, *, mean_lines: float, num_tail_lines: int = 0
) -> list[LineSpan]:
    """Spans of consecutive lines, evenly placed; fewer where the lines run out.

    Each has a geometric number of lines, `mean_lines` in the mean. Half of them are whole lines with their
    newline; a quarter runs from the first character that is not blank to the end of its last line; the others
    from anywhere after that character. Spans begin and end in lines that are not blank, so there is none in a
    blank text.

    With `num_tail_lines` a span's tail is the beginning of its first line and, as far as there are any, so
    many lines less one before it that are not blank; else it is empty.
    """
    lines = split_lines(data)
    ends = list(accumulate(map(len, lines)))
    filled = filled_lines(lines)
    if not filled:
        return []
    num_before = max(0, num_tail_lines - 1)
    num_lines = (np.minimum(rng.geometric(1 / mean_lines, num_spans), len(filled)) + num_before).tolist()
    room = len(filled) + num_before  # the first span's tail may lie before the text
    while sum(num_lines) > room:
        num_lines.pop()
    spans = []
    for first, last in place_spans(num_lines, room, rng):
        first_line, last_line = filled[first], filled[last - 1 - num_before]
        start, end = ends[first_line] - len(lines[first_line]), ends[last_line]
        kind = rng.random()
        if kind >= _WHOLE_LINES:
            end -= len(lines[last_line]) - len(lines[last_line].rstrip(b"\r\n"))
            line_end = start + len(lines[first_line].rstrip())
            start += len(lines[first_line]) - len(lines[first_line].lstrip())
            if kind >= _FROM_FIRST_CHARACTER:
                start = int(rng.integers(start, line_end))
        tail_start = start
        if num_tail_lines:
            tail_line = first_tail_line(filled, first_line, num_tail_lines)
            tail_start = ends[tail_line] - len(lines[tail_line])
        spans.append(LineSpan(tail_start, start, end))
    return spans
