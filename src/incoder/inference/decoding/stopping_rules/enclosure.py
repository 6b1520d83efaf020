"""The stopping rule for the end of the string, comment or tag that contains a hole."""

from incoder.inference.decoding.stopping_rules.hole import Hole, Infill


class Enclosure:
    """An infill must not close the string, comment, interpolation or tag that its suffix closes."""

    def __init__(self, hole: Hole) -> None:
        self._depth = hole.enclosure
        self._closing = hole.closing

    def cut(self, infill: Infill) -> int | None:
        if self._depth is None:
            return None
        return next((mark.start for mark in infill.marks if len(mark.stack) <= self._depth), None)

    def num_committed(self, infill: Infill) -> int:
        return len(infill.text) - num_begun(infill.text, self._closing)


def num_begun(text: bytes, mark: bytes) -> int:
    """Return the length of the longest end of `text` that is a beginning of `mark`.

    >>> num_begun(b'a doc string""', b'\"\"\"')
    2
    """
    longest = min(len(mark), len(text))
    return next((size for size in range(longest, 0, -1) if text.endswith(mark[:size])), 0)
