"""Edits of a text: each replaces a range, and all of them are applied together or none.

Positions count characters of the original text. Text outside the ranges is never rebuilt, so its line ends,
byte order marks and formatting stay as they are. This module knows no files and no models.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from incoder.errors import IncoderError


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replaces the characters from `start` to before `end` by `text`; an empty range is an insertion."""

    start: int
    end: int
    text: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with all edits made; insertions at one position keep the order of the arguments.

    Raises:
        IncoderError: a range is not within the text, or two ranges overlap.

    >>> apply_edits("x = 1", [Edit(0, 1, "count"), Edit(5, 5, "0")])
    'count = 10'
    """
    return "".join(cut(text, (), edits))


def cut(text: str, holes: Sequence[tuple[int, int]], edits: Iterable[Edit] = ()) -> list[str]:
    """Make the edits, then cut the holes out: returns the parts before, between and after the holes.

    `holes` are ranges of the original text. An insertion at the start of a hole comes before the hole.

    Raises:
        IncoderError: a range is not within the text, or two ranges overlap.

    >>> cut("def f(a): return a", [(6, 7), (17, 18)], [Edit(4, 5, "same")])
    ['def same(', '): return ', '']
    """
    # A hole sorts after the insertions at its start, and before edits that begin at its end.
    marks = [(edit.start, edit.end, edit.text) for edit in edits]
    ordered: list[tuple[int, int, str | None]] = [*marks, *((start, end, None) for start, end in holes)]
    ordered.sort(key=lambda mark: (mark[0], mark[1]))
    parts, place = [""], 0
    for start, end, new in ordered:
        if not 0 <= start <= end <= len(text):
            raise IncoderError(
                f"an edit from {start} to {end} is not within a text of {len(text)} characters"
            )
        if start < place:
            raise IncoderError(f"edits must not overlap: one ends at {place}, the next begins at {start}")
        parts[-1] += text[place:start]
        if new is None:
            parts.append("")
        else:
            parts[-1] += new
        place = end
    parts[-1] += text[place:]
    return parts
