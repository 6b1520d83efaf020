"""The context window: the part of a long text around its holes that the model is shown.

Texts and a way to count their tokens go in, shorter texts come out; no token ids, no sentinels. The cuts are
at line starts that stay put while someone types: every 16th line, counted from the text's start before the
holes and from its end after them. If that leaves half of the room unused, cuts are made at any line, and if
lines are too long even for that, at every 64th character. When the beginning is cut off, the first
lines (imports) are kept.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

Count = Callable[[str], int]
_Piece = tuple[int, int]  # where it starts and ends

_LINES = 16  # about 150 tokens of code: typed before a cut moves, and the most room that stays unused
_CHARACTERS = 64
_LONG_PIECE = 4096  # characters; a minified file is one long line, of which only a part fits
_SUFFIX_SHARE = 3  # one third; the rest is for the prefix, and what one side leaves unused goes to the other
_HEAD_SHARE = 8
_GRAINS = 16  # the side that fits takes its room in steps, or each keystroke there would move the other's cut
_HOLE_COST = 4  # tokens: the sentinels, and what is lost by tokenizing the neighbours separately

_LINE_ENDS = re.compile(r"[\r\n]+")  # no token crosses the end of such a run: costs of pieces add up exactly


@dataclass(frozen=True, slots=True)
class Window:
    """`parts` with a hole between each two; `is_start`: the first of them holds the text's true start."""

    parts: tuple[str, ...]
    is_start: bool


def cut_window(parts: Sequence[str], room: int, max_num_holes: int, count: Count) -> Window:
    """Cut the text around its first hole so that it takes at most `room` tokens.

    `parts[0]` is all the text before that hole. Later holes are shown if they are near enough.
    """
    prefix, suffix = _Text(parts[:1], count), _Text(parts[1 : max_num_holes + 1], count)
    prefix_cost, suffix_cost = prefix.cost(room), suffix.cost(room)
    share, grain = room // _SUFFIX_SHARE, max(1, room // _GRAINS)
    if prefix_cost + suffix_cost <= room:
        prefix_room, suffix_room = room, room
    elif suffix_cost <= share:
        prefix_room, suffix_room = room - _rounded_up(suffix_cost, grain), room
    elif prefix_cost <= room - share:
        prefix_room, suffix_room = room, room - _rounded_up(prefix_cost, grain)
    else:
        prefix_room, suffix_room = room - share, share
    kept, is_start = _keep_end(prefix, prefix_room)
    return Window((kept, *suffix.first_parts(suffix.num_first(suffix_room))), is_start)


def _keep_end(prefix: "_Text", room: int) -> tuple[str, bool]:
    """The end of the prefix, after its first lines where the middle is left out."""
    text = prefix.text
    if prefix.num_last(room) == len(text):
        return text, True
    num_head, head_cost = prefix.first_lines(room // _HEAD_SHARE)
    num_tail = prefix.num_last(room - head_cost)
    if num_head + num_tail >= len(text):
        return text, True
    return text[:num_head] + text[len(text) - num_tail :], num_head > 0


class _Text:
    """A text with the offsets of its holes; says how much of it fits into a number of tokens."""

    def __init__(self, parts: Sequence[str], count: Count) -> None:
        self.text = "".join(parts)
        self._holes = list(accumulate(map(len, parts[:-1])))
        self._count = count
        self._line_starts = [0, *(match.end() for match in _LINE_ENDS.finditer(self.text))]

    def cost(self, limit: int) -> int:
        """The tokens of the whole text; more than `limit`, it does not matter how many, if it takes more."""
        num_characters, cost = self._take(self._pieces(self._line_starts[::_LINES]), limit)
        return cost if num_characters == len(self.text) else limit + 1

    def num_last(self, room: int) -> int:
        """How many characters at the end fit; where they begin is counted from the text's start."""
        levels = (self._line_starts[::_LINES], self._line_starts, range(0, len(self.text), _CHARACTERS))
        return self._first_to_fill((self._pieces(level)[::-1] for level in levels), room)

    def num_first(self, room: int) -> int:
        """How many characters at the start fit; where they end is counted from the text's end."""
        starts, length = self._line_starts, len(self.text)
        levels = (starts[::-1][::_LINES], starts, range(length % _CHARACTERS, length, _CHARACTERS))
        return self._first_to_fill((self._pieces(level) for level in levels), room)

    def first_lines(self, room: int) -> tuple[int, int]:
        """How many characters the first lines have that fit, and what they cost."""
        return self._take(self._pieces(self._line_starts), room)

    def first_parts(self, num_characters: int) -> list[str]:
        """The first characters as parts, cut at the holes among them."""
        reached = bisect_right(self._holes, num_characters)
        if num_characters < len(self.text):
            reached = bisect_left(self._holes, num_characters)  # a hole with nothing after it is not shown
        cuts = [0, *self._holes[:reached], num_characters]
        return [self.text[start:end] for start, end in pairwise(cuts)]

    def _first_to_fill(self, levels: Iterable[Sequence[_Piece]], room: int) -> int:
        """How many characters fit, cut at the first of these levels that uses half of the room."""
        num_characters = 0
        for pieces in levels:
            num_characters, cost = self._take(pieces, room)
            if num_characters == len(self.text) or 2 * cost >= room:
                break
        return num_characters

    def _pieces(self, points: Iterable[int]) -> list[_Piece]:
        return list(pairwise(sorted({0, *points, len(self.text)})))

    def _take(self, pieces: Iterable[_Piece], room: int) -> tuple[int, int]:
        """How many characters the first of these pieces have that fit, and what they cost."""
        num_characters = total = 0
        for start, end in pieces:
            num_holes = bisect_left(self._holes, end) - bisect_left(self._holes, start)
            cost = self._cost(self.text[start:end], room - total) + _HOLE_COST * num_holes
            if total + cost > room:
                break
            num_characters += end - start
            total += cost
        return num_characters, total

    def _cost(self, text: str, room: int) -> int:
        """The number of tokens of a piece; `room` + 1 for a long one that does not fit.

        Alone, a part takes about as many tokens as within its text: only its first and last may differ.
        """
        least = 0
        for start in range(0, len(text) if len(text) > _LONG_PIECE else 0, _LONG_PIECE):
            least += self._count(text[start : start + _LONG_PIECE]) - 2
            if least > room:
                return room + 1
        return self._count(text)


def _rounded_up(number: int, grain: int) -> int:
    return -(-number // grain) * grain
