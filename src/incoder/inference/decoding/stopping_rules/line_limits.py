"""The rules of a request's `lines`: an infill of one line, or of the block that begins at the hole."""

import re

from incoder.inference.decoding.stopping_rules.blocks import first_word
from incoder.inference.decoding.stopping_rules.brackets import CLOSERS
from incoder.inference.decoding.stopping_rules.hole import Hole, Infill, width
from incoder.request_settings import LinesWanted

_OPENS_BLOCK = re.compile(rb"[{(\[]\s*\Z")
_OPENS_INDENTED_BLOCK = re.compile(rb"(?:[{(\[]\s*|:\s*(?:#.*)?)\Z")


class FirstLine:
    """An infill ends with its first line that is not blank."""

    def cut(self, infill: Infill) -> int | None:
        start = len(infill.text) - len(infill.text.lstrip())
        place = infill.text.find(b"\n", start)
        return place if place >= 0 else None

    def num_committed(self, infill: Infill) -> int:
        return len(infill.text)


class FirstBlock:
    """An infill ends with the block that begins at the hole.

    If the hole begins a line, that line is the first of the block, which ends before the first line with less
    indentation. If text precedes the hole on its line, the hole is part of a statement, whose block ends
    before the first line that is not indented more. A line that closes the block (`}`, `end`) is its last
    one, unless the text after the hole has such a line already.
    """

    def __init__(self, hole: Hole) -> None:
        self._own_line = hole.own_line
        self._is_in_statement = not hole.is_line_start
        self._ends = hole.syntax.block_ends
        self._is_closed_after = self._closes(next(iter(hole.lines_after), b""))

    def cut(self, infill: Infill) -> int | None:
        left: int | None = None
        start = -len(self._own_line)
        lines = (self._own_line + infill.text).split(b"\n")
        for number, line in enumerate(lines):
            if line.strip() and not (start > 0 and infill.is_text(start)):
                is_growing = number == len(lines) - 1
                if left is None:
                    left = width(line)
                elif width(line) < left + self._is_in_statement:
                    if not self._closes(line) or self._is_closed_after:
                        may_close = is_growing and self._may_close(line) and not self._is_closed_after
                        return None if may_close else len(infill.text[:start].rstrip())
                    if not is_growing and not _OPENS_BLOCK.search(line):  # unlike `} else {`
                        return start + len(line)
            start += len(line) + 1
        return None

    def num_committed(self, infill: Infill) -> int:
        text = infill.text
        start = text.rfind(b"\n") + 1
        is_sure = text[start:].strip() and not self._may_close(text[start:])
        return len(text) if not start or is_sure else len(text[:start].rstrip())

    def _closes(self, line: bytes) -> bool:
        text = line.strip()
        return text[:1] in CLOSERS or first_word(text) in self._ends

    def _may_close(self, line: bytes) -> bool:
        """Whether more text could make this the line that closes the block."""
        text = line.strip()
        return any(word.startswith(text) for word in self._ends)


def line_limit(hole: Hole, lines: LinesWanted | None) -> FirstLine | FirstBlock | None:
    """Return the rule that a request's `lines` asks for, if any.

    "auto" is the block if one begins at the hole, else one line.

    >>> from incoder.inference.syntax.languages import PYTHON
    >>> line_limit(Hole(b"x = ", b"\\n", PYTHON), "one").__class__.__name__
    'FirstLine'
    """
    if lines == "block" or (lines == "auto" and begins_block(hole)):
        return FirstBlock(hole)
    return None if lines is None else FirstLine()


def begins_block(hole: Hole) -> bool:
    """Whether a block begins at the hole: the line before opens one or is indented less.

    >>> from incoder.inference.syntax.languages import PYTHON
    >>> begins_block(Hole(b"if x:\\n    ", b"", PYTHON)), begins_block(Hole(b"x = ", b"", PYTHON))
    (True, False)
    """
    if hole.is_middle or hole.is_in_text:
        return False
    opens = _OPENS_INDENTED_BLOCK if hole.syntax.is_indented else _OPENS_BLOCK
    if not hole.is_line_start:
        return opens.search(hole.own_line) is not None
    before = hole.lines_before[-1] if hole.lines_before else b""
    return opens.search(before) is not None or (bool(before) and width(hole.own_line) > width(before))
