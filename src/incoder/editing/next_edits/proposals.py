"""From an edit to the next ones: sites scored by a model, filled, and only the convincing ones kept."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from incoder.editing.defaults import NEXT_EDIT
from incoder.editing.edits import Edit, apply_edits
from incoder.editing.languages import language_of
from incoder.editing.lines import Lines
from incoder.editing.next_edits.events import EditEvent, edit_events
from incoder.editing.next_edits.excerpt import Excerpt, excerpt
from incoder.editing.next_edits.sites import Reason, candidate_sites
from incoder.model_protocol import Model
from incoder.request import InfillRequest

MAX_CHANGED_LINES = 200  # of one edit: beyond, it is a new version of the file rather than an edit
DEFAULT_MIN_GAIN = 0.0  # nats per token; calibrated as docs/next-edits.md says
DEFAULT_MIN_SHIFT = 0.5
_MIN_DROP = 0.1  # nats per token: how much less probable the edit must have made a text to have it rewritten


@dataclass(frozen=True, slots=True)
class NextEdit:
    """A proposed edit of the text after the user's edit.

    `old` is replaced by `edit.text`, on line `line` (from 1). In nats per token: `drop` is how much less
    probable the user's edit made the old text, `gain` how much more probable the new text is than the old
    one, and `shift` how much of that gain is due to the user's edit.
    """

    edit: Edit
    line: int
    old: str
    drop: float
    gain: float
    shift: float
    reason: Reason


def next_edits(
    model: Model,
    before: str,
    after: str,
    *,
    path: PurePath | None = None,
    min_gain: float = DEFAULT_MIN_GAIN,
    min_shift: float = DEFAULT_MIN_SHIFT,
    rejected: Collection[tuple[str, str]] = (),
    template: InfillRequest = NEXT_EDIT,
) -> list[NextEdit]:
    """Return the edits that should follow the one from `before` to `after`, the nearest first.

    Proposes nothing that undoes the edit, adds a syntax error, or is in `rejected` (pairs of the old and the
    new text). The model reads an excerpt of at most 1,600 characters, once for each of the two versions.

    Raises:
        IncoderError: the model cannot infill.

    >>> from incoder.editing.next_edits.proposals import next_edits
    >>> next_edits(model, "x = 1\\n", "x = 2\\n")
    []
    """
    return edits_after(
        model,
        after,
        edit_events(before, after),
        path=path,
        min_gain=min_gain,
        min_shift=min_shift,
        rejected=rejected,
        template=template,
    )


def edits_after(
    model: Model,
    after: str,
    events: Sequence[EditEvent],
    *,
    path: PurePath | None = None,
    min_gain: float = DEFAULT_MIN_GAIN,
    min_shift: float = DEFAULT_MIN_SHIFT,
    rejected: Collection[tuple[str, str]] = (),
    quiet_lines: Collection[str] = (),
    line: int | None = None,
    template: InfillRequest = NEXT_EDIT,
) -> list[NextEdit]:
    """Return what `next_edits` does, for edits that are known already; `after` is the text after them.

    Nothing is proposed on a line whose text, without indentation, is one of the `quiet_lines`. The edits
    that are nearest to `line` (from 1) come first, or to the user's edits if there is none.

    Raises:
        IncoderError: the model cannot infill.
    """
    num_lines = sum(len(event.old) + len(event.new) for event in events)
    if not 0 < num_lines <= MAX_CHANGED_LINES:
        return []
    lines = Lines(after)
    sites = candidate_sites(after, events)
    part = excerpt(after, events, [site for site in sites if lines[site.line].strip() not in quiet_lines])
    if not part.sites:
        return []
    olds = tuple(after[site.start : site.end] for site in part.sites)
    suggested = tuple(
        old if site.new is None else site.new for site, old in zip(part.sites, olds, strict=True)
    )
    rows = [olds] if suggested == olds else [olds, suggested]  # one pass over the text scores both
    after_old, *after_suggested = model.score_infills(part.after, rows, path=path)
    before_old, *before_suggested = model.score_infills(part.before, rows, path=path)
    drops = [
        (before.total_logprob - after.total_logprob) / before.num_tokens
        for before, after in zip(before_old.by_infill, after_old.by_infill, strict=True)
    ]
    news = _new_texts(model, part, suggested, drops, path, template)
    if news == olds:
        return []
    if news != suggested:
        after_suggested = [*model.score_infills(part.after, [news], path=path)]
        before_suggested = [*model.score_infills(part.before, [news], path=path)]
    (after_new,), (before_new,) = after_suggested, before_suggested
    syntax_error = _error_check(after, path)
    proposed = []
    for place, site in enumerate(part.sites):
        old, new = olds[place], news[place]
        num_tokens = max(after_old.by_infill[place].num_tokens, after_new.by_infill[place].num_tokens)
        gain, gain_before = (
            (new_score.by_infill[place].total_logprob - old_score.by_infill[place].total_logprob) / num_tokens
            for new_score, old_score in ((after_new, after_old), (before_new, before_old))
        )
        edit = Edit(site.start, site.end, new)
        if (
            gain >= min_gain
            and gain - gain_before >= min_shift
            and old != new
            and (old, new) not in rejected
            and (bool(new.strip()) or site.new is not None)
            and not _is_reversal(old, new, events)
            and not _restores_line(after, lines, edit, events)
            and (syntax_error is None or syntax_error(apply_edits(after, [edit])) is None)
        ):
            proposed.append(
                NextEdit(edit, site.line, old, drops[place], gain, gain - gain_before, site.reason)
            )
    places = [event.line for event in events] if line is None else [line]
    return sorted(proposed, key=lambda one: (min(abs(one.line - place) for place in places), one.line))


def _new_texts(
    model: Model,
    part: Excerpt,
    suggested: Sequence[str],
    drops: Sequence[float],
    path: PurePath | None,
    template: InfillRequest,
) -> tuple[str, ...]:
    """Return the new text of every site: the `suggested` one, or what the model writes.

    The model writes where the edit suggests nothing and has made the old text less probable, in document
    order, with all that is suggested elsewhere in view.
    """
    news = list(suggested)
    to_write = [
        place for place, site in enumerate(part.sites) if site.new is None and drops[place] >= _MIN_DROP
    ]
    if to_write:
        parts = [part.after[0]]
        for place, rest in enumerate(part.after[1:]):
            if place in to_write:
                parts.append(rest)
            else:
                parts[-1] += news[place] + rest
        result = model.run(template.for_parts(parts, path=path))
        for place, infill in zip(to_write, result.infills, strict=True):
            news[place] = infill
    return tuple(news)


def _is_reversal(old: str, new: str, events: Sequence[EditEvent]) -> bool:
    """Whether an edit puts back what the user has replaced."""
    return any((new, old) in event.replaced_texts for event in events)


def _restores_line(text: str, lines: Lines, edit: Edit, events: Sequence[EditEvent]) -> bool:
    """Whether an edit makes its lines what one of the user's lines was before."""
    start, end = lines.start(lines.number(edit.start)), lines.start(lines.number(edit.end) + 1)
    made = (text[start : edit.start] + edit.text + text[edit.end : end]).strip()
    return any(made == old.strip() for event in events for old in event.old)


def _error_check(text: str, path: PurePath | None) -> Callable[[str], str | None] | None:
    """Return the check of the language's syntax; None if there is none, or the text fails it already."""
    language = language_of(path)
    if language is None or language.syntax_error(text) is not None:
        return None
    return language.syntax_error
