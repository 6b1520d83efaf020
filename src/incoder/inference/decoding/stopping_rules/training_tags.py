"""The stopping rule for the tags around training documents (tags.py), which belong in no user's file."""

import re

from incoder.inference.decoding.stopping_rules.hole import Hole, Infill

_OPENING = b"<|"
_BLANKS_AND_OPENING = b" \t\r\n<"
_TAG = re.compile(rb"^<\|", re.MULTILINE)


class TrainingTags:
    """An infill ends before a line that begins like a tag, and cannot begin with one.

    If its first line were a tag, nothing would be left; so the tokens that would begin one are forbidden.
    """

    def __init__(self, hole: Hole) -> None:
        self._own_line = hole.own_line

    def cut(self, infill: Infill) -> int | None:
        size = len(self._own_line)
        tag = _TAG.search(self._own_line + infill.text, size)
        return None if tag is None else tag.start() - size

    def num_committed(self, infill: Infill) -> int:
        line = (self._own_line + infill.text).rpartition(b"\n")[2]
        return len(infill.text) - (infill.text.endswith(line) and line == _OPENING[:1])

    def forbidden_next(self, text: bytes) -> bytes | None:
        """Return the bytes that the next token must not begin with; None once the infill has other text."""
        line = (self._own_line + text).rpartition(b"\n")[2]
        is_begun = text.strip(_BLANKS_AND_OPENING) or (text.strip() and line != _OPENING[:1])
        if is_begun or self._own_line.strip():
            return None
        return _OPENING[len(line) :] if _OPENING.startswith(line) else b""
