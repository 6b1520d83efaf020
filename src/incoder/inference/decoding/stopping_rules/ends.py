"""The rule for the end of an infill inside a line: the places where it may end instead of where it did."""

import re

from incoder.inference.decoding.stopping_rules.hole import Hole
from incoder.inference.syntax.syntax import OPERATORS

_MOST_PLACES = 48
_LONGEST_REST, _MOST_OPEN = 400, 32  # bytes, brackets and strings
_OPERATORS = OPERATORS.translate(None, b".@")  # a name may follow these two
_WORD = re.compile(r"\w")


class Ends:
    """An infill in the middle of a line may end at each place of its first line that the rest could follow.

    A place inside a word is one only if the rest of the line begins with a letter, a digit or an underscore.
    In code, none is right after an operator. Of these places, only those count with the fewest open strings
    and unopened brackets.
    """

    def __init__(self, hole: Hole) -> None:
        self._hole = hole
        self._is_code = not hole.is_in_text
        # The rest is read once for each place.
        self._is_simple = len(hole.rest) <= _LONGEST_REST and len(hole.stack) <= _MOST_OPEN
        self.is_on = hole.is_middle
        self._begins_word = _is_word(hole.rest[:4].decode("utf-8", "ignore")[:1])

    def places(self, written: bytes) -> list[int]:
        """Return the numbers of bytes that may stay of a text: 1 or more, since a hole lacks something."""
        line = _first_line(written)
        places, size = [], 0
        for index, left in enumerate(line, start=1):
            right = line[index : index + 1]
            size += len(left.encode())
            if self._begins_word or not (_is_word(left) and _is_word(right)):
                places.append(size)
        places = places[:_MOST_PLACES]
        if self._is_code:
            whole = [place for place in places if written[:place].rstrip()[-1:] not in _OPERATORS]
            places = whole or places
        if not self._is_simple:
            return places
        misfits = {place: self._hole.num_misfits(written[:place]) for place in places}
        fewest = min(misfits.values(), default=0)
        return [place for place in places if misfits[place] == fewest]


def _first_line(written: bytes) -> str:
    """Return the text up to the end of the first line that is not blank, or up to bytes that are no UTF-8."""
    blanks = len(written) - len(written.lstrip())
    line = written[:blanks] + written[blanks:].partition(b"\n")[0]
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        return line[: error.start].decode()


def _is_word(character: str) -> bool:
    return _WORD.match(character) is not None
