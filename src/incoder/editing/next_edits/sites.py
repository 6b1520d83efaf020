"""Candidate sites: places that may need an edit after what the user changed, found in the text alone.

Three kinds, most telling first: a name that the edit replaced and that is still used elsewhere, a line like
one that was edited, and a call of a function whose parameters or arguments were edited. Names are searched
for in all of the text, lines like an edited one within 1,000 lines of it.
"""

import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from typing import Literal

from incoder.editing.lines import Lines
from incoder.editing.next_edits.events import EditEvent
from incoder.editing.next_edits.tokens import replacements, similarity, tokens_of

Reason = Literal["name", "line", "call"]

MAX_SITES = 8
_MIN_SIMILARITY = 0.5
_MAX_DISTANCE = 1000  # lines from an edit to a line like it
_MAX_SIMILAR_LINES = 64  # that are compared word by word, the nearest first
_MAX_ARGUMENTS = 300  # characters between the brackets of a call
_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*|(?<=[\w)\]])\.[^\W\d]\w*")
_CALL = re.compile(r"([^\W\d]\w*)\s*\(")
_KEYWORDS = frozenset(keyword.kwlist)
_ORDER: dict[Reason, int] = {"name": 0, "line": 1, "call": 2}


@dataclass(frozen=True, slots=True)
class Site:
    """A place that may need an edit: the characters from `start` to before `end`, on `line` (from 1).

    `new` is the text that the user's edit suggests there, None if a model has to write it.
    """

    start: int
    end: int
    line: int
    new: str | None
    reason: Reason


def candidate_sites(text: str, events: Sequence[EditEvent], max_sites: int = MAX_SITES) -> list[Site]:
    """Return at most `max_sites` sites in the text after the edits, in document order, none overlapping.

    >>> before, after = "def f(a):\\n    return a\\n", "def f(b):\\n    return a\\n"
    >>> from incoder.editing.next_edits.events import edit_events
    >>> [(site.line, site.new) for site in candidate_sites(after, edit_events(before, after))]
    [(2, 'b')]
    """
    edited = {line for event in events for line in range(event.line, event.line + max(1, len(event.new)))}
    lines = Lines(text)
    found = [*_names(text, lines, events), *_similar_lines(lines, events), *_calls(text, lines, events)]

    def rank(site: Site) -> tuple[int, bool, int]:
        distance = min((abs(site.line - line) for line in edited), default=0)
        return _ORDER[site.reason], site.new is None, distance

    chosen: list[Site] = []
    for site in sorted((site for site in found if site.line not in edited), key=rank):
        if len(chosen) == max_sites:
            break
        if text[site.start : site.end] != site.new and not any(_touch(site, other) for other in chosen):
            chosen.append(site)
    return sorted(chosen, key=lambda site: site.start)


def renamed(events: Sequence[EditEvent]) -> dict[str, str]:
    """Return the names that were replaced by other names, wherever the events' lines had them.

    An attribute is written with its dot: the attribute `.path` and the variable `path` are two names.

    >>> renamed([EditEvent(1, ("self.path = path\\n",), ("self.file = path\\n",))])
    {'.path': '.file'}
    """
    names: dict[str, str] = {}
    pairs = [pair for event in events for pair in event.changed_lines]
    for old, new in pairs:
        before, after = names_in(old), names_in(new)
        for change in replacements(before, after):
            gone = before[change.old_start : change.old_end]
            come = after[change.new_start : change.new_end]
            if len(gone) == len(come) == 1 and gone[0].startswith(".") == come[0].startswith("."):
                names.setdefault(gone[0], come[0])
    kept = {name for _, new in pairs for name in names_in(new)}
    return {old: new for old, new in names.items() if old not in kept}


def names_in(text: str) -> list[str]:
    """Return the names of a text in their order, attributes with their dot, keywords left out.

    >>> names_in("return self.path or path")
    ['self', '.path', 'path']
    """
    found = (match[0] for match in _NAME.finditer(text))
    return [name for name in found if name not in _KEYWORDS]


def _names(text: str, lines: Lines, events: Sequence[EditEvent]) -> Iterator[Site]:
    names = renamed(events)
    for match in _NAME.finditer(text) if names else ():
        new = names.get(match[0])
        if new is not None:
            start = match.start() + match[0].startswith(".")
            yield Site(start, match.end(), lines.number(start), new.removeprefix("."), "name")


def _similar_lines(lines: Lines, events: Sequence[EditEvent]) -> Iterator[Site]:
    pairs = {pair: event.line for event in reversed(events) for pair in event.changed_lines}
    for (old, new), place in pairs.items():
        before, after = tokens_of(old), tokens_of(new)
        changes = replacements(before, after)
        for number, line in islice(_like(old, new, lines, place), _MAX_SIMILAR_LINES):
            there = tokens_of(line)
            offsets = [lines.start(number)]
            for token in there:
                offsets.append(offsets[-1] + len(token))
            for change in changes:
                span = _aligned(before, there, change.old_start, change.old_end)
                if span is None:
                    continue
                is_same = there[slice(*span)] == before[change.old_start : change.old_end]
                written = "".join(after[change.new_start : change.new_end])
                yield Site(offsets[span[0]], offsets[span[1]], number, written if is_same else None, "line")


def _like(old: str, new: str, lines: Lines, place: int) -> Iterator[tuple[int, str]]:
    """Yield the lines like `old` that are not `new`, with their numbers, the nearest to `place` first."""
    near = range(max(1, place - _MAX_DISTANCE), min(len(lines), place + _MAX_DISTANCE) + 1)
    for number in sorted(near, key=lambda number: abs(number - place)):
        line = lines[number]
        if line != new and similarity(old, line) > _MIN_SIMILARITY:
            yield number, line


def _calls(text: str, lines: Lines, events: Sequence[EditEvent]) -> Iterator[Site]:
    names = set()
    for old, new in (pair for event in events for pair in event.changed_lines):
        before, after = dict(_arguments(old)), dict(_arguments(new))
        names |= {name for name in before.keys() & after.keys() if before[name] != after[name]}
    if not names:
        return
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(names))) + r")\s*\(")
    for match in pattern.finditer(text):
        end = _closing(text, match.end())
        if end is not None:
            yield Site(match.end(), end, lines.number(match.start()), None, "call")


def _arguments(line: str) -> Iterator[tuple[str, str]]:
    """Yield the names that are called or defined in a line, with the text between their brackets."""
    for match in _CALL.finditer(line):
        end = _closing(line, match.end())
        yield match[1], line[match.end() : len(line) if end is None else end]


def _closing(text: str, start: int) -> int | None:
    """Return the place of the bracket that closes one before `start`, if it is near."""
    depth = 1
    for place in range(start, min(len(text), start + _MAX_ARGUMENTS)):
        depth += (text[place] in "([{") - (text[place] in ")]}")
        if not depth:
            return place
    return None


def _aligned(old: Sequence[str], there: Sequence[str], start: int, end: int) -> tuple[int, int] | None:
    """Return the tokens of another line at the place of `old[start:end]`; None if it has no such place.

    A boundary is found by the token before it or the one after it: the start by the former if both lines have
    it, the end by the latter.
    """
    matcher = SequenceMatcher(None, old, there, autojunk=False)
    same = {
        block.a + number: block.b + number
        for block in matcher.get_matching_blocks()
        for number in range(block.size)
    }
    after_left = same[start - 1] + 1 if start - 1 in same else None
    left = after_left if after_left is not None else same.get(start)
    right = same.get(end, same[end - 1] + 1 if end - 1 in same else None)
    return (left, right) if left is not None and right is not None and left <= right else None


def _touch(site: Site, other: Site) -> bool:
    return site.start <= other.end and other.start <= site.end
