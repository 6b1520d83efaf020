"""A text with its infills, and where each of them is."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from incoder.document import Parts


@dataclass(frozen=True)
class FilledText:
    """The text between the parts `around` with an infill in every hole; all lines end with `\\n`.

    >>> FilledText(("f(", ")"), ("x",)).text
    'f(x)'
    """

    around: tuple[str, ...]
    infills: tuple[str, ...]

    @cached_property
    def text(self) -> str:
        """The whole text."""
        return Parts(self.around).join(self.infills)

    @cached_property
    def spans(self) -> Sequence[tuple[int, int]]:
        """Where each infill begins and ends in the text, in characters.

        >>> FilledText(("f(", ", ", ")"), ("x", "yz")).spans
        [(2, 3), (5, 7)]
        """
        spans, place = [], 0
        for part, infill in zip(self.around, self.infills, strict=False):
            start = place + len(part)
            place = start + len(infill)
            spans.append((start, place))
        return spans


def to_bytes(text: str) -> bytes:
    """Return the bytes of a text, also of one that is not UTF-8.

    >>> to_bytes("\\udcff")
    b'\\xff'
    """
    return text.encode("utf-8", "surrogateescape")
