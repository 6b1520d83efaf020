"""What a user changed: consecutive lines before and after."""

from dataclasses import dataclass
from difflib import SequenceMatcher

from incoder.editing.lines import Lines
from incoder.editing.next_edits.tokens import replacements, similarity, tokens_of

_MAX_COMPARISONS = 4_000_000  # of lines: comparing takes time by the square of their number
_MIN_SIMILARITY = 0.4  # of a line and what it became


@dataclass(frozen=True, slots=True)
class EditEvent:
    """Consecutive whole lines that were replaced: `old` lines before, `new` lines after, from `line` on.

    `line` counts from 1 in the text after the edit.
    """

    line: int
    old: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def changed_lines(self) -> list[tuple[str, str]]:
        """The old lines with what each became; lines that were only deleted or inserted are left out."""
        if len(self.old) == len(self.new):
            pairs = list(zip(self.old, self.new, strict=True))
        else:
            pairs = [
                (old, max(self.new, key=lambda new: similarity(old, new))) for old in self.old if self.new
            ]
        return [pair for pair in pairs if pair[0] != pair[1] and similarity(*pair) >= _MIN_SIMILARITY]

    @property
    def replaced_texts(self) -> list[tuple[str, str]]:
        """The old and the new text of everything that differs within a line."""
        found = []
        for old, new in self.changed_lines:
            before, after = tokens_of(old), tokens_of(new)
            for place in replacements(before, after):
                old_text = "".join(before[place.old_start : place.old_end])
                found.append((old_text, "".join(after[place.new_start : place.new_end])))
        return found


def edit_events(before: str, after: str) -> tuple[EditEvent, ...]:
    """Return what was changed between two versions of a file, from its start on.

    If thousands of lines are between the first and the last change, all of them count as one.

    >>> edit_events("a = 1\\nb = 2\\n", "a = 1\\nb = 3\\n")
    (EditEvent(line=2, old=('b = 2\\n',), new=('b = 3\\n',)),)
    """
    old, new = ([line for line in Lines(text) if line] for text in (before, after))
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    inner_old, inner_new = old[start : len(old) - end], new[start : len(new) - end]
    if len(inner_old) * len(inner_new) > _MAX_COMPARISONS:
        return (EditEvent(start + 1, tuple(inner_old), tuple(inner_new)),)
    matcher = SequenceMatcher(None, inner_old, inner_new, autojunk=False)
    return tuple(
        EditEvent(
            start + new_start + 1, tuple(inner_old[old_start:old_end]), tuple(inner_new[new_start:new_end])
        )
        for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes()
        if tag != "equal"
    )
