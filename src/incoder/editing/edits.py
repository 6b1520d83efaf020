"""Edits of a text: a range and what is to stand there, all of them applied together or none.

Places are counted in characters of the text as it was. What no range covers is never rebuilt, so line ends,
byte order marks and all other formatting outside of the edits stay as they are. Knows no files and no models.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from incoder.errors import IncoderError


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """What stands from `start` to before `end` becomes `text`; an empty range is an insertion."""

    start: int
    end: int
    text: str


def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made; insertions at one place come in the order in which they are given.

    Raises:
        IncoderError: a range is not within the text, or two ranges overlap.
    """
    return "".join(cut(text, (), edits))


def cut(text: str, holes: Sequence[tuple[int, int]], edits: Iterable[Edit] = ()) -> list[str]:
    """The text with edits made, cut at holes: what stands before, between and behind them.

    An insertion right at a hole comes before it. Filled with `edits[i].text` for each of the holes, these
    parts give the text with all the edits.

    Raises:
        IncoderError: a range is not within the text, or two ranges overlap.
    """
    # A hole is sorted behind the insertions at its start, and before what begins where it ends.
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
