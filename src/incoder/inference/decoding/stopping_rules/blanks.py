"""The rule against blank infills: an infill has text, unless nothing is missing at its hole."""

from incoder.inference.decoding.stopping_rules.blocks import last_statement, opens_block
from incoder.inference.decoding.stopping_rules.brackets import CLOSERS
from incoder.inference.decoding.stopping_rules.hole import Hole, width
from incoder.inference.decoding.stopping_rules.openers import missing_opener
from incoder.inference.syntax.syntax import BRACKETS, ENDS_WITH_OPERATOR, OPERATORS, Literal

_SEPARATORS = b",;:"
_LEFT_OPERAND_MISSING = b"=.%/<|^"  # an expression does not begin with these


class Blanks:
    """An infill must not end while it is blank, unless the text around its hole is complete without it.

    It does not begin with a closing bracket or separator that begins the rest of its line, either: all of it
    would then be cut off.
    """

    def __init__(self, hole: Hole) -> None:
        self.is_on = not is_complete(hole)
        rest = hole.rest.lstrip()[:1] if hole.literal is None else b""
        self._double = rest if rest in CLOSERS or (rest and rest in _SEPARATORS + b"=") else b"\n"

    def may_be(self, infill: bytes) -> bool:
        return bool(infill.strip())

    def may_begin(self, infill: bytes) -> bool:
        return not infill.strip().startswith(self._double)


def is_complete(hole: Hole) -> bool:
    """Whether nothing is missing at the hole, so that the texts around it may be joined as they are.

    The characters next to the hole decide, which needs no grammar. Something is missing between two blanks,
    between a blank and a closing bracket, separator or line end, beside an operator without its operand, in
    an empty comment or string of several lines, and where a block lacks its opener or its first line.

    >>> from incoder.inference.syntax.languages import PYTHON
    >>> is_complete(Hole(b"f(", b")", PYTHON)), is_complete(Hole(b"x = ", b"", PYTHON))
    (True, False)
    """
    own, rest = hole.own_line, hole.rest
    if hole.stack and hole.stack[-1].literal is not None:
        return _is_complete_text(hole, hole.stack[-1].literal)
    if missing_opener(hole) is not None or _is_block_empty(hole):
        return False
    if not own.strip():
        return bool(hole.lines_before or hole.lines_after) and not hole.is_middle
    left, right = own.rstrip()[-1:], rest.lstrip()[:1]
    is_blank_before, is_blank_after = own[-1:].isspace(), rest[:1].isspace() or not right
    if is_blank_before and (is_blank_after or right in CLOSERS or right in _SEPARATORS):
        return False
    if left in BRACKETS:
        return right in CLOSERS or not right or not (is_blank_after or _lacks_left_operand(left, right))
    if left in OPERATORS and not own.endswith(ENDS_WITH_OPERATOR):
        needs_operand = not right or right in CLOSERS or _lacks_left_operand(left, right)
        return not needs_operand and not (left == b"." and (is_blank_after or right in BRACKETS))
    if left == b"," and right:
        return right not in CLOSERS and not _lacks_left_operand(left, right)
    return True


def _lacks_left_operand(left: bytes, right: bytes) -> bool:
    is_slice = left == b"[" and right == b":"
    return bool(right) and (right in _SEPARATORS or right in _LEFT_OPERAND_MISSING) and not is_slice


def _is_complete_text(hole: Hole, literal: Literal) -> bool:
    """Whether a string or comment needs no text at the hole."""
    own, rest = hole.own_line, hole.rest
    begins = own.rstrip().endswith(literal.opening) and len(own.split(literal.opening)) % 2 == 0
    if begins and (not rest.strip() or rest.lstrip().startswith(literal.closing)):
        return not (literal.spans_lines or literal.is_comment)
    return bool(rest.strip()) or not own.strip() or not own[-1:].isspace()


def _is_block_empty(hole: Hole) -> bool:
    """Whether the hole is all that there is of an indented block."""
    if not hole.syntax.block_words or hole.stack or not hole.ends_a_line:
        return False
    before = [hole.own_line] if hole.own_line.strip() else last_statement(hole.lines_before)
    if not before or not opens_block(before[-1]):
        return False
    return not hole.lines_after or width(hole.lines_after[0]) <= width(before[0])
