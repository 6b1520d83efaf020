"""The rule for lines that must open a block: the line after the hole is indented deeper than the hole's."""

import re
from dataclasses import dataclass

from incoder.inference.decoding.stopping_rules.blocks import (
    block_unit,
    first_word,
    indentation,
    last_statement,
    opens_block,
)
from incoder.inference.decoding.stopping_rules.brackets import CLOSERS
from incoder.inference.decoding.stopping_rules.hole import Hole, Infill, width
from incoder.inference.syntax.scanner import Place, scan
from incoder.inference.syntax.syntax import BRACKETS

_COLON = b":"
_LEAST_INDENTATION = 2  # columns; a single blank continues a line
_RARE = frozenset({b"match", b"case"})  # more often names, so they are accepted but never required
_ALONE = frozenset({b"else", b"try", b"finally"})  # before their colon is nothing else
_NO_EXPRESSION = b"=,.)]}:;+/%<>&|^ \t"  # no expression begins with these
# Words that continue a statement, and the words of the blocks that they may come after.
_COMES_AFTER = {
    b"elif": (b"if", b"elif"),
    b"else": (b"if", b"elif", b"for", b"while", b"except"),
    b"except": (b"try", b"except"),
    b"finally": (b"try", b"except", b"else"),
}


@dataclass(frozen=True, slots=True)
class Opener:
    """The line that is missing: it ends with `mark` (a colon, or a bracket's closing one, after the hole).

    It is indented by at most `max_width` columns. If it `may_lack`, the hole may also be a statement of the
    block around it; then only an infill that is indented less than the line after it lacks an opener.
    """

    mark: bytes
    max_width: int
    may_lack: bool = False


class Openers:
    """If the line after the hole is indented deeper than the hole's line, the infill ends with an opener.

    In a language of indented blocks that is a line that begins with a word that opens a block (`if`, `for`)
    and ends with a colon. Elsewhere it is one that leaves open the bracket that the suffix closes at the
    indentation of the hole's line. The opener is the infill's last line. An infill that begins a line begins
    with the indentation `start`.
    """

    def __init__(self, hole: Hole) -> None:
        self._hole = hole
        self._opener = missing_opener(hole) or _possible_opener(hole)
        self._words = hole.syntax.block_words - _RARE
        self._ends_a_line = hole.ends_a_line
        self.start = _start_of_opener(hole, self._opener) if self._opener is not None else b""
        self.is_on = self._opener is not None

    def cut(self, infill: Infill) -> int | None:
        if not self.is_on:
            return None
        for newline in re.finditer(rb"\n", infill.text):
            if self.may_be(infill.text[: newline.start()]):
                return newline.start() if self._ends_a_line else newline.end()
        return None

    def num_committed(self, infill: Infill) -> int:
        return len(infill.text)

    def is_lacking(self, infill: bytes, *, is_whole: bool) -> bool:
        """Whether an infill lacks an opener; if it was ended by a limit, no more text could add one."""
        assert self._opener is not None
        if self._opener.may_lack and (self.is_free(infill) or not infill.strip()):
            return False
        return not self.may_be(infill) and (is_whole or not self.may_begin(infill))

    def is_free(self, infill: bytes) -> bool:
        """Whether an infill that begins like this need not be an opener, however it continues."""
        assert self._opener is not None
        if not self._opener.may_lack:
            return False
        line = next((line for line in infill.split(b"\n") if line.strip()), b"")
        return bool(line) and (width(line) > self._opener.max_width or line.lstrip().startswith(b"#"))

    def may_be(self, infill: bytes) -> bool:
        """Whether the line that the infill ends with is an opener."""
        assert self._opener is not None
        stack = Infill(self._hole, infill).stack_at(len(infill))
        if self._opener.mark != _COLON:
            return len(stack) > len(self._hole.stack) and stack[-1].closing == self._opener.mark
        line = (self._hole.own_line + infill).rstrip().rpartition(b"\n")[2]
        is_opener = opens_block(line) and first_word(line.lstrip()) in self._hole.syntax.block_words
        return is_opener and not stack and width(line) <= self._opener.max_width

    def may_begin(self, infill: bytes) -> bool:
        """Whether more text could make the infill's first line an opener."""
        assert self._opener is not None
        if self._opener.mark != _COLON:
            return True
        lines = (self._hole.own_line + infill).split(b"\n")
        number = next((number for number, line in enumerate(lines) if line.strip()), len(lines) - 1)
        line, is_growing = lines[number], number == len(lines) - 1
        if number and not self._hole.own_line:
            return False  # blank lines before it only put it off
        if width(line + b"x" * (not line.strip())) > self._opener.max_width:
            return False
        if not line.strip():
            # In most vocabularies the last blank of an indentation belongs to the token of the first word.
            # Without that blank, words of the right kind would be improbable.
            return not (line.endswith(b" ") and line == self._hole.own_line + self.start)
        if not opens_block(line):
            stack = Infill(self._hole, infill).stack_at(len(infill))
            is_comment = bool(stack) and stack[-1].literal is not None and stack[-1].literal.is_comment
            if is_comment or not (is_growing or stack):
                return False
        return not self._hole.is_line_start or self._may_open(line)

    def _may_open(self, line: bytes) -> bool:
        """Whether more text could make this line one that opens a block, judged by its first word."""
        found = re.match(rb"(\w*)([ \t]?)(.?)", line.lstrip(), re.DOTALL)
        assert found is not None
        word, blank, following = found.groups()
        if word not in self._words:
            return not blank and not following and self._whole_word(word, width(line)) is not None
        if not self._may_come_here(word, width(line)):
            return False
        if word in _ALONE or (word == b"except" and following == _COLON):
            return following in (b"", _COLON)
        return bool(blank and following not in _NO_EXPRESSION) or not following

    def required_next(self, infill: bytes) -> bytes:
        """Return the bytes that must come next, once the first letters of the infill say which word it is."""
        line = (self._hole.own_line + infill).rpartition(b"\n")[2]
        word = line.lstrip()
        if self._opener is None or self._opener.mark != _COLON or not self._hole.is_line_start or not word:
            return b""
        whole = self._whole_word(word, width(line))
        if whole is None or (whole == b"except" and word == whole):
            return b""
        return (whole + (_COLON if whole in _ALONE else b" "))[len(word) :]

    def _whole_word(self, beginning: bytes, own_width: int) -> bytes | None:
        """Return a word that opens a block here and begins like this; None if there is none.

        One letter says little, so fewer than three are not enough, unless they are the word.
        """
        if beginning in self._words:
            return beginning
        words = sorted(self._words) if len(beginning) > 2 else []
        fitting = (word for word in words if word.startswith(beginning))
        return next((word for word in fitting if self._may_come_here(word, own_width)), None)

    def _may_come_here(self, word: bytes, own_width: int) -> bool:
        """Whether the blocks around the hole are such that this word may come here."""
        if word == b"try":
            after = next((line for line in self._hole.lines_after if width(line) <= own_width), b"")
            return width(after) == own_width and first_word(after.lstrip()) in (b"except", b"finally")
        if word in (b"def", b"class"):  # rare within functions
            around = next(
                (line for line in reversed(self._hole.lines_before) if width(line) < own_width), b""
            )
            return own_width == 0 or first_word(around.lstrip()) == b"class"
        if word not in _COMES_AFTER:
            return True
        before = next((line for line in reversed(self._hole.lines_before) if width(line) <= own_width), b"")
        return width(before) == own_width and first_word(before.lstrip()) in _COMES_AFTER[word]


def missing_opener(hole: Hole) -> Opener | None:
    """Return the opener that is missing at the hole, judged by the indentation around it; None if none is.

    >>> from incoder.inference.syntax.languages import PYTHON
    >>> missing_opener(Hole(b"x = 1\\n", b"    y = 2\\n", PYTHON))
    Opener(mark=b':', max_width=0, may_lack=False)
    """
    if hole.is_in_text or hole.is_middle or not hole.lines_after:
        return None
    if hole.syntax.block_words:
        return None if hole.stack else _missing_colon(hole)
    if hole.syntax.is_indented or hole.syntax.is_markup or not hole.syntax.has_brackets:
        return None
    return _missing_bracket(hole)


def _possible_opener(hole: Hole) -> Opener | None:
    """Return the opener that an infill needs if it ends the block before the hole: the next line is deeper.

    >>> from incoder.inference.syntax.languages import PYTHON
    >>> _possible_opener(Hole(b"if x:\\n    y()\\n", b"    z()\\n", PYTHON))
    Opener(mark=b':', max_width=2, may_lack=True)
    """
    if not hole.syntax.block_words or hole.stack or hole.own_line or hole.is_middle or not hole.lines_after:
        return None
    following = width(hole.lines_after[0])
    before = last_statement(hole.lines_before)
    is_comment = hole.lines_after[0].lstrip().startswith(b"#")
    if not before or before[-1].endswith(b"\\") or is_comment or following < _LEAST_INDENTATION:
        return None
    if _closes_bracket(hole, following):
        return None
    return Opener(_COLON, following - _LEAST_INDENTATION, may_lack=True)


def _start_of_opener(hole: Hole, opener: Opener) -> bytes:
    """Return the indentation of the missing line: a block less than the line after it."""
    if hole.own_line:
        return b""
    inner, unit = indentation(hole.lines_after[0]), block_unit(hole)
    outer = inner.removesuffix(unit)
    return outer if outer != inner and width(outer + b"x") <= opener.max_width else b""


def _missing_colon(hole: Hole) -> Opener | None:
    following = width(hole.lines_after[0])
    before = last_statement(hole.lines_before)
    if not hole.is_line_start:
        words = re.match(rb"\s*(\w+)", hole.own_line)
        is_begun = words is not None and words[1] in hole.syntax.block_words
        max_width = width(hole.own_line) if is_begun else following
    elif before and before[-1].endswith(b"\\"):
        return None
    elif hole.own_line:
        max_width = width(hole.own_line + b"x")
    elif before and opens_block(before[-1]):
        max_width = width(before[0]) + width(block_unit(hole) + b"x")
    else:
        max_width = width(before[0]) if before else 0
    if following < max_width + _LEAST_INDENTATION or _closes_bracket(hole, following):
        return None
    is_nested = hole.is_line_start and not hole.own_line and before and opens_block(before[-1])
    return Opener(_COLON, following - 1 if is_nested else max_width)


def _missing_bracket(hole: Hole) -> Opener | None:
    following = width(hole.lines_after[0])
    closing = next((line for line in hole.lines_after if width(line) < following), b"")
    mark, place = closing.lstrip()[:1], width(closing)
    if mark not in CLOSERS:
        return None
    line = hole.own_line if hole.own_line.strip() else (hole.lines_before or [b""])[-1]
    num_opened = sum(map(line.count, BRACKETS)) - sum(map(line.count, BRACKETS.values()))
    opens = num_opened > 0 or line.rstrip()[-1:] in BRACKETS or line.rstrip().endswith(_COLON)
    if hole.own_line:
        is_missing = place == width(hole.own_line + b"x") and not (opens and hole.own_line.strip())
    else:
        is_missing = place > width(line) if opens else place >= width(line)
    return Opener(mark, place) if is_missing else None


def _closes_bracket(hole: Hole, following: int) -> bool:
    """Whether the lines after the hole that are indented as deep close a bracket that they do not open."""
    start = 0 if hole.is_line_start else len(hole.rest) + 1
    end = start
    for line in hole.suffix[start:].split(b"\n"):
        if line.strip() and width(line) < following:
            if line.lstrip()[:1] in CLOSERS:
                return True
            break
        end += len(line) + 1
    return any(mark.is_unopened for mark in scan(hole.suffix[:end], hole.syntax, Place(0, hole.stack)))
