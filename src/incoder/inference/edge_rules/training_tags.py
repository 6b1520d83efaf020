"""The tags that surrounded documents in training (tags.py), which no user's file is to get."""

import re

from incoder.inference.edge_rules.hole import Hole, Infill

_OPENING = b"<|"
_BLANKS_AND_OPENING = b" \t\r\n<"
_TAG = re.compile(rb"^<\|", re.MULTILINE)


class TrainingTags:
    """An infill ends before a line that begins as a tag does, and cannot begin with one.

    Its first line that is not blank is kept from being a tag while it is written: nothing would be left.
    """

    def __init__(self, hole: Hole) -> None:
        self._own_line = hole.own_line

    def cut(self, infill: Infill) -> int | None:
        size = len(self._own_line)
        tag = _TAG.search(self._own_line + infill.text, size)
        return None if tag is None else tag.start() - size

    def num_settled(self, infill: Infill) -> int:
        line = (self._own_line + infill.text).rpartition(b"\n")[2]
        return len(infill.text) - (infill.text.endswith(line) and line == _OPENING[:1])

    def forbidden_next(self, text: bytes) -> bytes | None:
        """The bytes that the next token must not begin with; None once there is other text."""
        line = (self._own_line + text).rpartition(b"\n")[2]
        is_begun = text.strip(_BLANKS_AND_OPENING) or (text.strip() and line != _OPENING[:1])
        if is_begun or self._own_line.strip():
            return None
        return _OPENING[len(line) :] if _OPENING.startswith(line) else b""
