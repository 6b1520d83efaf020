"""Errors in brackets and strings, for languages without a parser at hand: those that the scanner finds."""

from collections.abc import Sequence

from incoder.inference.syntax.scanner import Mark, Place, Stack, last_place, scan
from incoder.inference.syntax.syntax import NEWLINE, Syntax
from incoder.inference.syntax_errors.filled_text import FilledText, to_bytes


def num_bracket_errors(texts: Sequence[FilledText], syntax: Syntax) -> list[int]:
    """Count in each text the brackets and strings that are not closed or close nothing, from its holes on.

    The texts have the same parts around their infills. Where two texts have the same constructs open at the
    same place after the last hole, the rest is scanned once.

    >>> from incoder.inference.syntax.languages import PYTHON
    >>> num_bracket_errors([FilledText(("f(", ")\\n"), (infill,)) for infill in ("x", "(x")], PYTHON)
    [0, 1]
    """
    before, after = to_bytes(texts[0].around[0]), to_bytes(texts[0].around[-1])
    place = last_place(before, syntax, is_all=False)
    from_here = dict[tuple[int, Stack], int]()  # errors, by the bytes that follow and what is open
    return [_num_errors(to_bytes(text.text), len(after), syntax, place, from_here) for text in texts]


def _num_errors(
    data: bytes, num_after: int, syntax: Syntax, place: Place, from_here: dict[tuple[int, Stack], int]
) -> int:
    """Count the errors after a place; look up and remember what the last `num_after` bytes have."""
    stack, num_errors, passed = place.stack, 0, list[tuple[tuple[int, Stack], int]]()
    for mark in scan(data, syntax, place):
        num_errors += _errors_at(mark, stack)
        stack, num_left = mark.stack, len(data) - mark.end
        if num_left < num_after:
            key = num_left, stack
            if key in from_here:
                num_errors += from_here[key]
                break
            passed.append((key, num_errors))
    else:
        num_errors += _num_text_or_brackets(stack)
    from_here |= {key: num_errors - so_far for key, so_far in passed}
    return num_errors


def _errors_at(mark: Mark, stack: Stack) -> int:
    """Count the errors of a mark that comes while `stack` is open."""
    if mark.is_unopened:
        return 1
    closed = stack[len(mark.stack) :]
    if mark.text == NEWLINE:
        return _num_text_or_brackets(closed)
    return max(0, len(closed) - 1)


def _num_text_or_brackets(stack: Stack) -> int:
    """Count the open constructs that neither a line end nor the end of the file closes."""
    return sum(one.literal is None or not one.literal.is_comment or one.literal.spans_lines for one in stack)
