"""Suggestions that stay while they are typed: each key takes a character off the one that is shown.

While the user types what is suggested, no new request is needed, and the text on the screen does not change.
What stays of a suggestion is computed from the text around the cursor alone, so it is the same after typing,
deleting a part of what was typed, or undoing it. Brackets and quotes that the editor closes by itself belong
to the typed text, too. Knows no model and no editor.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_MAX_SUGGESTIONS = 64
_MAX_LENGTH = 10_000  # characters of a suggestion
_NUM_COMPARED = 1000  # characters on each side of the place of a suggestion
_PAIRS = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'", "`": "`"}


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is left of `suggestion` after its first `num_typed` characters: `text` at the cursor.

    If the editor has closed brackets after the cursor, `text` ends where the first of them is.
    """

    suggestion: str
    text: str
    num_typed: int


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of suggestions in a document, and the text around it."""

    offset: int
    before: str
    after: str


class TypedThrough:
    """The suggestions that were last shown, by document and place; at most 64, the oldest are dropped.

    >>> shown = TypedThrough()
    >>> shown.remember("a.py", "x = ", "\\n", ["len(names)"])
    >>> shown.remaining("a.py", "x = len(", ")\\n")
    [Remainder(suggestion='len(names)', text='names', num_typed=4)]
    """

    def __init__(self, max_suggestions: int = _MAX_SUGGESTIONS) -> None:
        self._max_suggestions = max_suggestions
        self._shown: OrderedDict[tuple[str, _Place], tuple[str, ...]] = OrderedDict()

    def remember(self, document: str, prefix: str, suffix: str, suggestions: Sequence[str]) -> None:
        """Remember the suggestions that are shown between `prefix` and `suffix`, the best first."""
        place = _Place(len(prefix), prefix[-_NUM_COMPARED:], suffix[:_NUM_COMPARED])
        kept = tuple(one for one in suggestions if one and len(one) <= _MAX_LENGTH)[: self._max_suggestions]
        self._shown.pop((document, place), None)
        if kept:
            self._shown[document, place] = kept
        while sum(map(len, self._shown.values())) > self._max_suggestions:
            self._shown.popitem(last=False)

    def remaining(self, document: str, prefix: str, suffix: str) -> list[Remainder]:
        """Return what is left of the suggestions whose beginning is typed, of the latest place that fits.

        Nothing is left of a suggestion that is typed whole, or that other text was typed into.
        """
        for (name, place), suggestions in reversed(self._shown.items()):
            if name == document:
                found = [*_remainders(place, suggestions, prefix, suffix)]
                if found:
                    return found
        return []

    def drop(self, document: str) -> None:
        """Drop the suggestions of a document that was closed, or that changed elsewhere."""
        for key in [key for key in self._shown if key[0] == document]:
            del self._shown[key]


def _remainders(place: _Place, suggestions: Iterable[str], prefix: str, suffix: str) -> Iterator[Remainder]:
    start = max(0, place.offset - _NUM_COMPARED)
    if len(prefix) < place.offset or prefix[start : place.offset] != place.before:
        return
    typed = prefix[place.offset :] if len(prefix) - place.offset <= _MAX_LENGTH else ""
    closed = _closed_by_editor(typed, suffix, place.after)
    if closed is None:
        return
    for suggestion in suggestions:
        rest = suggestion[len(typed) :]
        if suggestion.startswith(typed):
            text = _before_closed(typed, rest, closed)
            if text:
                yield Remainder(suggestion, text, len(typed))


def _closed_by_editor(typed: str, suffix: str, after: str) -> str | None:
    """Return the brackets that the editor closed after the cursor; None if other text is there.

    >>> _closed_by_editor("f([", "])\\n", "\\n"), _closed_by_editor("f(", "x\\n", "\\n")
    ('])', None)
    """
    closers = _closers(typed)
    for number in range(len(closers) + 1):
        closed = closers[:number]
        if (closed + after)[:_NUM_COMPARED] == suffix[:_NUM_COMPARED]:
            return closed
    return None


def _closers(typed: str) -> str:
    """Return what closes the brackets and quotes that a text opens, from the inside out."""
    open_marks: list[str] = []
    for character in typed:
        if open_marks and character == open_marks[-1]:
            open_marks.pop()
        elif character in _PAIRS and not (open_marks and open_marks[-1] in "\"'`"):
            open_marks.append(_PAIRS[character])
    return "".join(reversed(open_marks))


def _before_closed(typed: str, rest: str, closed: str) -> str:
    """Return the rest of a suggestion up to the place where it closes the first of the `closed` brackets."""
    if not closed:
        return rest
    for number in range(1, len(rest) + 1):
        if closed not in _closers(typed + rest[:number]):
            return rest[: number - 1]
    return rest
