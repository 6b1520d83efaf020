"""The part of a file that the model reads: the lines around the edits and around the sites.

A model reads a few hundred tokens, whatever the length of the file, so that a next edit takes no longer in a
long file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from incoder.editing.lines import Lines
from incoder.editing.next_edits.events import EditEvent
from incoder.editing.next_edits.sites import Site

MAX_CHARACTERS = 1600  # about 500 tokens
_CONTEXT = 2  # lines before and after each edit and site


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The text around the `sites`, which are its holes, `after` the edits and `before` them."""

    after: tuple[str, ...]
    before: tuple[str, ...]
    sites: tuple[Site, ...]


def excerpt(
    text: str,
    events: Sequence[EditEvent],
    sites: Sequence[Site],
    max_characters: int = MAX_CHARACTERS,
) -> Excerpt:
    """Cut an excerpt out of the text after the edits; the farthest sites, if they do not fit, are left out.

    >>> site = Site(10, 11, 2, None, "name")
    >>> excerpt("a = 2\\nb = a\\n", [EditEvent(1, ("a = 1\\n",), ("a = 2\\n",))], [site])
    Excerpt(after=('a = 2\\nb = ', '\\n'), before=('a = 1\\nb = ', '\\n'), sites=(...))
    """
    lines = Lines(text)
    spans = [_span(lines, event.line, event.line + len(event.new) - 1) for event in events]
    kept: list[Site] = []
    for site in sorted(sites, key=lambda site: _distance(site, events)):
        span = _span(lines, site.line, lines.number(site.end))
        if sum(end - start for start, end in _merged([*spans, span])) <= max_characters:
            spans.append(span)
            kept.append(site)
    kept.sort(key=lambda site: site.start)
    marks: list[tuple[int, int, Site | EditEvent]] = [(site.start, site.end, site) for site in kept]
    marks += [(lines.start(event.line), lines.start(event.line + len(event.new)), event) for event in events]
    marks.sort(key=lambda mark: mark[:2])
    after, before = [""], [""]
    for start, end in _merged(spans):
        place = start
        for mark_start, mark_end, mark in marks:
            if not start <= mark_start <= end:
                continue
            between = text[place:mark_start]
            after[-1] += between
            before[-1] += between
            if isinstance(mark, EditEvent):
                after[-1] += text[mark_start:mark_end]
                before[-1] += "".join(mark.old)
            else:
                after.append("")
                before.append("")
            place = mark_end
        after[-1] += text[place:end]
        before[-1] += text[place:end]
    return Excerpt(tuple(after), tuple(before), tuple(kept))


def _span(lines: Lines, first: int, last: int) -> tuple[int, int]:
    """Return the characters of some lines, with a few before and after."""
    return lines.start(max(1, first - _CONTEXT)), lines.start(min(len(lines), last + _CONTEXT) + 1)


def _merged(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the spans in order, those that overlap or touch as one."""
    current: tuple[int, int] | None = None
    for start, end in sorted(spans):
        if current is not None and start <= current[1]:
            current = (current[0], max(current[1], end))
        else:
            if current is not None:
                yield current
            current = (start, end)
    if current is not None:
        yield current


def _distance(site: Site, events: Sequence[EditEvent]) -> int:
    return min(abs(site.line - event.line) for event in events)
