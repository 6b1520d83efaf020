"""The parts of other files that are most like the lines around the cursor.

Files are compared window by window: the Jaccard similarity of the words in some lines with the words around
the cursor. Texts in, texts out.
"""

import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_WINDOW = 24  # lines
_STEP = 12
_NUM_LINES_BEFORE, _NUM_LINES_AFTER = 24, 8  # around the cursor
_MAX_LINES = 10_000  # of a file that is looked at
_MIN_SIMILARITY = 0.02
_MAX_WINDOWS_PER_FILE = 2
_WORD = re.compile(r"[^\W\d]\w{2,}")


@dataclass(frozen=True, slots=True)
class Window:
    """The lines from `first` up to `end` (from 0) of file number `file`, and how similar they are."""

    similarity: float
    file: int
    first: int
    end: int


class FileWords:
    """The words of a file, window by window; computed once for each version of a file."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines[:_MAX_LINES]
        self._words = [(first, frozenset(words_in(lines))) for first, lines in _windows(self.lines)]

    def windows(self, words: frozenset[str], file: int) -> Iterator[Window]:
        """Yield the windows with their similarity to some words."""
        for first, own in self._words:
            num_common = len(own & words)
            if num_common:
                similarity = num_common / (len(own) + len(words) - num_common)
                yield Window(similarity, file, first, min(first + _WINDOW, len(self.lines)))


def words_around(lines: Sequence[str], line: int) -> frozenset[str]:
    """Return the words of the lines around the cursor's, without its own, which is being typed.

    >>> sorted(words_around(["import numpy", "numpy.me", "print(total)"], 1))
    ['import', 'numpy', 'print', 'total']
    """
    before = lines[max(0, line - _NUM_LINES_BEFORE) : line]
    return frozenset(words_in([*before, *lines[line + 1 : line + 1 + _NUM_LINES_AFTER]]))


def words_in(lines: Sequence[str]) -> list[str]:
    """Return the words of at least three letters.

    >>> words_in(["x = total(a, 10)"])
    ['total']
    """
    return _WORD.findall("\n".join(lines))


def most_similar(files: Sequence[FileWords], words: frozenset[str], max_windows: int) -> list[Window]:
    """Return the most similar windows, the best first; at most two of a file, none overlapping.

    Of two that are equally similar, the first file's comes first.
    """
    found = (window for number, file in enumerate(files) for window in file.windows(words, number))
    enough = heapq.nsmallest(
        8 * max_windows,
        (window for window in found if window.similarity >= _MIN_SIMILARITY),
        key=lambda window: (-window.similarity, window.file, window.first),
    )
    chosen: list[Window] = []
    for window in enough:
        same = [one for one in chosen if one.file == window.file]
        overlaps = any(one.first < window.end and window.first < one.end for one in same)
        if not overlaps and len(same) < _MAX_WINDOWS_PER_FILE and len(chosen) < max_windows:
            chosen.append(window)
    return chosen


def _windows(lines: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    for first in range(0, max(1, len(lines) - _STEP), _STEP):
        yield first, lines[first : first + _WINDOW]
