"""The stopping rule for the end of the block that contains a hole: indentation, and words that end blocks."""

from incoder.inference.decoding.stopping_rules.blocks import (
    block_unit,
    first_word,
    indentation,
    last_statement,
    opens_block,
)
from incoder.inference.decoding.stopping_rules.brackets import CLOSERS
from incoder.inference.decoding.stopping_rules.hole import Hole, Infill, width

_ENDS_OF_LABELS = (b"", b":", b")")


class Indentation:
    """Cut before a line that is dedented below the infill's first line, and at or below the following code.

    If nothing follows the hole, column 0 is the limit. Lines that continue a statement are exempt: a closing
    bracket, `else:`, a word that ends a block unless the suffix has it, a label. Indentation does not count
    in a string or comment of several lines. An infill that is the first line of a block must begin with the
    indentation `start`.
    """

    def __init__(self, hole: Hole) -> None:
        self._own_line = hole.own_line
        self._syntax = hole.syntax
        self._is_off = hole.literal is not None and hole.literal.spans_lines
        self.start = _start_of_block(hole)
        following = next(iter(hole.lines_after), b"")
        self._right = width(following)
        self._is_closed_after = (
            first_word(following.strip()) in hole.syntax.block_ends | hole.syntax.block_middles
        )

    def cut(self, infill: Infill) -> int | None:
        if self._is_off:
            return None
        left, start = None, -len(self._own_line)
        lines = (self._own_line + infill.text).split(b"\n")
        for number, line in enumerate(lines):
            if line.strip() and not (start > 0 and infill.is_text(start)):
                own = width(line)
                left = own if left is None else left
                if (
                    own < left
                    and own <= self._right
                    and not self._may_be(line, is_growing=number == len(lines) - 1)
                ):
                    return start
            start += len(line) + 1
        return None

    def num_committed(self, infill: Infill) -> int:
        text = infill.text
        start = text.rfind(b"\n") + 1
        if self._is_off or not start or infill.is_text(start):
            return len(text)
        line = text[start:]
        return start if not line.strip() or self._may_be(line, is_growing=True) else len(text)

    def _may_be(self, line: bytes, *, is_growing: bool) -> bool:
        """Whether a line may be dedented because it continues the statement or block before it.

        If the line `is_growing`, it is enough that more text could make it such a line.
        """
        text, syntax = line.strip(), self._syntax
        if text[:1] in CLOSERS:
            return True
        own = width(line)
        words = syntax.block_middles
        if own > self._right or (own == self._right and not self._is_closed_after):
            words = words | syntax.block_ends
        if first_word(text) in words or (
            is_growing and any(word.startswith(line.lstrip()) for word in words)
        ):
            return True
        label = syntax.label
        return label is not None and any(
            label.match(text + more) for more in _ENDS_OF_LABELS[: 1 + 2 * is_growing]
        )


def _start_of_block(hole: Hole) -> bytes:
    """Return the missing part of a block's indentation if the line before the hole opens one with a colon.

    It is missing if the next line is not indented more, or by more than a block is: then the hole's line is
    in between.
    """
    if not hole.syntax.is_indented or hole.stack or not hole.is_line_start or not hole.lines_before:
        return b""
    opener = last_statement(hole.lines_before)
    if not opens_block(opener[-1]):
        return b""
    needed = indentation(opener[0]) + block_unit(hole)
    if not hole.ends_a_line and width(opener[0]) < width(hole.rest) <= width(needed + b"x"):
        return b""
    return needed[len(hole.own_line) :] if needed.startswith(hole.own_line) else b""
