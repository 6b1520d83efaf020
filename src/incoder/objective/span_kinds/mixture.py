"""Spans of several kinds in one block, each with its prefix tail, like the holes of an editor.

Spans are ranges of byte positions. A new kind is a file with a function `draw` and a line in `_KINDS`.
"""

from bisect import bisect
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from incoder.objective.lines import LineSpan
from incoder.objective.span_kinds import (
    annotations,
    arguments,
    bindings,
    block_openers,
    characters,
    docstrings,
    lines,
    names,
    strings,
    words,
)
from incoder.objective.span_kinds.block_text import BlockText, Range
from incoder.tokenizer.prefix_tail import LINES_BETWEEN_HOLES, first_tail_line

SpanKind = Literal[
    "lines",
    "block-openers",
    "bindings",
    "characters",
    "words",
    "names",
    "arguments",
    "strings",
    "annotations",
    "docstrings",
]
_MAX_TRIES = 4  # for a span that overlaps another one

# Each draws the bytes from a start to before an end, given also the mean number of lines; None if it finds
# nothing in the text.
_KINDS: Mapping[SpanKind, Callable[[BlockText, np.random.Generator, float], Range | None]] = {
    "lines": lines.draw,
    "block-openers": block_openers.draw,
    "bindings": lambda text, rng, _: bindings.draw(text, rng),
    "characters": lambda text, rng, _: characters.draw(text, rng),
    "words": lambda text, rng, _: words.draw(text, rng),
    "names": lambda text, rng, _: names.draw(text, rng),
    "arguments": lambda text, rng, _: arguments.draw(text, rng),
    "strings": lambda text, rng, _: strings.draw(text, rng),
    "annotations": lambda text, rng, _: annotations.draw(text, rng),
    "docstrings": lambda text, rng, _: docstrings.draw(text, rng),
}


def mixed_spans(
    num_spans: int,
    data: bytes,
    rng: np.random.Generator,
    *,
    weights: Mapping[SpanKind, float],
    mean_lines: float,
    num_tail_lines: int = 0,
) -> list[LineSpan]:
    r"""Draw the kind of each span by `weights`, and then its place; fewer spans if the text has no more.

    If the text has no span of a kind, such as Python's in another language, `characters` replaces it.
    Spans do not touch. With `num_tail_lines` each begins with its prefix tail, as in a prompt: the first
    lines after another span stay where they are, as the suffix of that span.

    >>> mixed_spans(1, b"f(a, b)\n", np.random.default_rng(0), weights={"arguments": 1.0}, mean_lines=1)
    [LineSpan(start=2, tail_end=2, end=3)]
    """
    text = BlockText(data)
    kinds: list[SpanKind] = sorted(weights)
    shares = np.cumsum([weights[kind] for kind in kinds])
    taken: list[Range] = []
    for number in np.searchsorted(shares, rng.random(num_spans) * shares[-1], "right").tolist():
        kind = kinds[min(number, len(kinds) - 1)]
        for _ in range(_MAX_TRIES):
            span = _KINDS[kind](text, rng, mean_lines) or characters.draw(text, rng)
            if span is None:
                break
            place = bisect(taken, span)
            is_free_before = place == 0 or taken[place - 1][1] < span[0]
            if is_free_before and (place == len(taken) or span[1] < taken[place][0]):
                taken.insert(place, span)
                break
    spans, previous_end = list[LineSpan](), None
    for start, end in taken:
        tail_start = _tail_start(text, start, previous_end, num_tail_lines) if num_tail_lines else start
        spans.append(LineSpan(tail_start, start, end))
        previous_end = end
    return spans


def _tail_start(text: BlockText, start: int, previous_end: int | None, num_lines: int) -> int:
    """Where the tail of a span begins, as inference/prompts/prefix_tail.py splits the text between holes."""
    own_line = text.line_of(start)
    first = first_tail_line(text.filled, own_line, num_lines)
    if previous_end is not None:
        previous_line = text.line_of(previous_end)
        if previous_line == own_line:
            return start
        first = max(first, min(previous_line + min(num_lines, LINES_BETWEEN_HOLES), own_line))
    return text.starts[first]
