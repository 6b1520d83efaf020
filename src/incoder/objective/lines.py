"""Line-sized spans, like the holes that people leave in an editor and that line-infilling benchmarks have.

The paper's uniform lengths make most spans about half a document long, so that a small model rarely sees a
short infill end. Bytes in, spans of byte positions out. Knows no tokens.
"""

from typing import NamedTuple

import numpy as np

from incoder.objective.span_kinds.block_text import BlockText
from incoder.objective.span_kinds.lines import from_line_to_line
from incoder.objective.spans import place_spans
from incoder.tokenizer.prefix_tail import first_tail_line


class LineSpan(NamedTuple):
    """The bytes from `start` to before `end` are cut out; those before `tail_end` are the prefix tail."""

    start: int
    tail_end: int
    end: int


def line_spans(
    num_spans: int, data: bytes, rng: np.random.Generator, *, mean_lines: float, num_tail_lines: int = 0
) -> list[LineSpan]:
    r"""Draw spans of consecutive lines at even places; fewer than `num_spans` if the lines run out.

    Each has a geometric number of lines with the mean `mean_lines`. Half of the spans are whole lines with
    their last newline. A quarter run from the first character of a line that is not blank to the end of the
    last line, without its newline. The others start at any later place in the first line. Spans start and end
    in lines that are not blank, so a blank text has none.

    With `num_tail_lines` each span begins with its prefix tail (tokenizer/prefix_tail.py); otherwise the tail
    is empty. Tails are disjoint from other spans.

    >>> line_spans(1, b"a = 1\nb = 2\n", np.random.default_rng(0), mean_lines=1)
    [LineSpan(start=6, tail_end=6, end=12)]
    """
    text = BlockText(data)
    filled = text.filled
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
        start, end = from_line_to_line(text, rng, first_line, last_line)
        tail_start = start
        if num_tail_lines:
            tail_start = text.starts[first_tail_line(filled, first_line, num_tail_lines)]
        spans.append(LineSpan(tail_start, start, end))
    return spans
