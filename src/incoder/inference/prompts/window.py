"""The window: the part of a long text around its holes that the model reads.

Texts and a function that counts their tokens go in, shorter texts come out; no token ids, no sentinels. The
cuts are at line starts that stay the same while someone types: every 16th line, counted from the text's start
before the holes and from its end after them. If that leaves half of the budget unused, cuts are at any line,
or, if lines are too long even for that, at every 64th character. If the beginning is cut off, the first lines
(imports) are kept.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

Count = Callable[[str], int]
_Piece = tuple[int, int]  # where it starts and ends

_LINES = 16  # about 150 tokens of code: a cut moves only after that many, and at most that many stay unused
_CHARACTERS = 64
_LONG_PIECE = 4096  # characters; a minified file is one long line, of which only a part fits
_SUFFIX_SHARE = 3  # one third; the prefix gets the rest, and either side what the other leaves unused
_HEAD_SHARE = 8
_GRAINS = (
    16  # a side that fits takes whole steps of the budget, so that typing there does not move the other cut
)
_HOLE_COST = 4  # tokens: the sentinels, and the loss by tokenizing the neighbours separately

_LINE_ENDS = re.compile(
    r"[\r\n]+"
)  # no token crosses the end of such a run, so costs of pieces add up exactly


@dataclass(frozen=True, slots=True)
class Window:
    """The shown `parts`, with a hole between each two; `is_start` if the first begins where the text does."""

    parts: tuple[str, ...]
    is_start: bool


def cut_window(parts: Sequence[str], budget: int, max_num_holes: int, count: Count) -> Window:
    """Cut the text around its first hole to at most `budget` tokens.

    `parts[0]` is the whole text before that hole. Later holes are shown if they are near enough.

    >>> lines = "".join(f"line {number}\\n" for number in range(64))
    >>> cut_window([lines, lines], 60, 1, lambda text: text.count("\\n")).parts[1].count("\\n")
    16
    """
    prefix, suffix = _Text(parts[:1], count), _Text(parts[1 : max_num_holes + 1], count)
    prefix_cost, suffix_cost = prefix.cost(budget), suffix.cost(budget)
    share, grain = budget // _SUFFIX_SHARE, max(1, budget // _GRAINS)
    if prefix_cost + suffix_cost <= budget:
        prefix_budget, suffix_budget = budget, budget
    elif suffix_cost <= share:
        prefix_budget, suffix_budget = budget - _rounded_up(suffix_cost, grain), budget
    elif prefix_cost <= budget - share:
        prefix_budget, suffix_budget = budget, budget - _rounded_up(prefix_cost, grain)
    else:
        prefix_budget, suffix_budget = budget - share, share
    kept, is_start = _keep_end(prefix, prefix_budget)
    return Window((kept, *suffix.first_parts(suffix.num_first(suffix_budget))), is_start)


def _keep_end(prefix: "_Text", budget: int) -> tuple[str, bool]:
    """Return the shown prefix, its first lines and its end, and whether it begins where the text does."""
    text = prefix.text
    if prefix.num_last(budget) == len(text):
        return text, True
    num_head, head_cost = prefix.first_lines(budget // _HEAD_SHARE)
    num_tail = prefix.num_last(budget - head_cost)
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
        """Return the number of tokens of the whole text, or any larger number than `limit` if it has more."""
        num_characters, cost = self._take(self._pieces(self._line_starts[::_LINES]), limit)
        return cost if num_characters == len(self.text) else limit + 1

    def num_last(self, budget: int) -> int:
        """Return the number of characters at the end that fit, with cuts counted from the text's start."""
        levels = (self._line_starts[::_LINES], self._line_starts, range(0, len(self.text), _CHARACTERS))
        return self._first_to_fill((self._pieces(level)[::-1] for level in levels), budget)

    def num_first(self, budget: int) -> int:
        """Return the number of characters at the start that fit, with cuts counted from the text's end."""
        starts, length = self._line_starts, len(self.text)
        levels = (starts[::-1][::_LINES], starts, range(length % _CHARACTERS, length, _CHARACTERS))
        return self._first_to_fill((self._pieces(level) for level in levels), budget)

    def first_lines(self, budget: int) -> tuple[int, int]:
        """Return the number of characters of the first lines that fit, and their cost."""
        return self._take(self._pieces(self._line_starts), budget)

    def first_parts(self, num_characters: int) -> list[str]:
        """Return the first characters as parts, cut at the holes among them."""
        reached = bisect_right(self._holes, num_characters)
        if num_characters < len(self.text):
            reached = bisect_left(self._holes, num_characters)  # a hole with nothing after it is not shown
        cuts = [0, *self._holes[:reached], num_characters]
        return [self.text[start:end] for start, end in pairwise(cuts)]

    def _first_to_fill(self, levels: Iterable[Sequence[_Piece]], budget: int) -> int:
        """Return the number of characters that fit, cut at the first level that uses half of the budget."""
        num_characters = 0
        for pieces in levels:
            num_characters, cost = self._take(pieces, budget)
            if num_characters == len(self.text) or 2 * cost >= budget:
                break
        return num_characters

    def _pieces(self, points: Iterable[int]) -> list[_Piece]:
        return list(pairwise(sorted({0, *points, len(self.text)})))

    def _take(self, pieces: Iterable[_Piece], budget: int) -> tuple[int, int]:
        """Return the number of characters of the first pieces that fit, and their cost."""
        num_characters = total = 0
        for start, end in pieces:
            num_holes = bisect_left(self._holes, end) - bisect_left(self._holes, start)
            cost = self._cost(self.text[start:end], budget - total) + _HOLE_COST * num_holes
            if total + cost > budget:
                break
            num_characters += end - start
            total += cost
        return num_characters, total

    def _cost(self, text: str, budget: int) -> int:
        """Return the number of tokens of a piece, or `budget` + 1 for a long one that does not fit.

        A part has about as many tokens alone as within its text: only its first and last may differ.
        """
        least = 0
        for start in range(0, len(text) if len(text) > _LONG_PIECE else 0, _LONG_PIECE):
            least += self._count(text[start : start + _LONG_PIECE]) - 2
            if least > budget:
                return budget + 1
        return self._count(text)


def _rounded_up(number: int, grain: int) -> int:
    return -(-number // grain) * grain
