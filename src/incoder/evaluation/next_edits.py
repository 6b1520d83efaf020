"""An evaluation of next edits on the commits of git repositories.

A commit that changes several places of a file is a task: the first change is made, and the model is asked for
the others. A commit that changes one place of a file shows how often an edit is proposed where the author
made none.
"""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol

from incoder.editing.edits import Edit, apply_edits
from incoder.editing.lines import Lines
from incoder.editing.next_edits.events import EditEvent, edit_events
from incoder.editing.next_edits.proposals import NextEdit
from incoder.editing.next_edits.sites import candidate_sites
from incoder.errors import IncoderError
from incoder.evaluation.statistics import cluster_bootstrap_interval
from incoder.file_listing import run_git


class Propose(Protocol):
    """A way to propose the edits that follow the one from `before` to `after`."""

    def __call__(self, before: str, after: str, *, path: PurePath) -> Sequence[NextEdit]: ...


_MAX_EVENTS = 10
_MAX_EVENT_LINES = 6
_MAX_BYTES = 100_000  # of a file
_NUM_RANKED = 3


@dataclass(frozen=True, slots=True)
class Task:
    """A file of a commit: `before` it, `after` its first change, and `final`.

    `rest` are the places of `after` that the author also changed, as events from `final` to `after`; empty if
    the commit changes one place only.
    """

    repository: str
    commit: str
    path: PurePath
    before: str
    after: str
    final: str
    rest: tuple[EditEvent, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was proposed for a task: at the right place, with the right text, or where nothing was to do."""

    task: Task
    proposed: tuple[NextEdit, ...]
    seconds: float

    def has_place(self, among: int) -> bool:
        """Whether one of the first `among` proposals is at a place that the author changed."""
        return any(_event_at(self.task, edit) is not None for edit in self.proposed[:among])

    @property
    def is_exact(self) -> bool:
        """Whether the first proposal makes a line what the author made of it."""
        if not self.proposed:
            return False
        event = _event_at(self.task, self.proposed[0])
        return event is not None and _line_after(self.task, self.proposed[0]) in event.old

    @property
    def is_reversal(self) -> bool:
        """Whether the first proposal makes a line what it was before the commit."""
        changed = edit_events(self.task.before, self.task.final)
        lines = {line for event in changed for line in event.old}
        return bool(self.proposed) and _line_after(self.task, self.proposed[0]) in lines


def tasks_of(
    repository: Path, extension: str = ".py", on_skipped: Callable[[str], None] = lambda _: None
) -> Iterator[Task]:
    """Yield the tasks of a repository, newest commit first; merges, large files and changes are left out.

    Raises:
        IncoderError: the folder is no git repository, or git is not installed.
    """
    try:
        log = run_git(
            repository,
            "log",
            "--no-merges",
            "--diff-filter=M",
            "--name-only",
            "-z",
            "--format=%x01%H",
            "HEAD",
        )
    except FileNotFoundError as error:
        raise IncoderError("git is not installed, and the commits are read with it") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise IncoderError(f"{repository} is not a git repository with commits") from error
    for entry in log.decode("utf-8", "surrogateescape").split("\x01")[1:]:
        commit, *names = (name.strip("\n") for name in entry.split("\0"))
        for name in names:
            if name.endswith(extension):
                task = _task(repository, commit, name)
                if task is None:
                    on_skipped(f"{commit[:10]} {name}")
                else:
                    yield task


def renames_alone(before: str, after: str, *, path: PurePath) -> list[NextEdit]:
    """The baseline: a name that the edit replaced is replaced wherever it still is, the nearest first."""
    del path
    events = edit_events(before, after)
    edits = []
    for site in candidate_sites(after, events):
        if site.reason == "name" and site.new is not None:
            edit, old = Edit(site.start, site.end, site.new), after[site.start : site.end]
            edits.append(NextEdit(edit, site.line, old, 0.0, 0.0, 0.0, site.reason))
    return sorted(edits, key=lambda one: min(abs(one.line - event.line) for event in events))


def summary(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Return the rates with their 95 % intervals over commits, and latencies in milliseconds."""
    several = [outcome for outcome in outcomes if outcome.task.rest]
    single = [outcome for outcome in outcomes if not outcome.task.rest]
    shown = [outcome for outcome in several if outcome.proposed]
    milliseconds = sorted(1000 * outcome.seconds for outcome in outcomes)
    return {
        "tasks": len(several),
        "single_change_tasks": len(single),
        "shown": _rate(several, lambda outcome: bool(outcome.proposed)),
        "place@1": _rate(several, lambda outcome: outcome.has_place(1)),
        "place@3": _rate(several, lambda outcome: outcome.has_place(_NUM_RANKED)),
        "exact": _rate(several, lambda outcome: outcome.is_exact),
        "precision": _rate(shown, lambda outcome: outcome.has_place(1)),
        "reversals": _rate(shown, lambda outcome: outcome.is_reversal),
        "false_alarms": _rate(single, lambda outcome: bool(outcome.proposed)),
        "p50_ms": milliseconds[len(milliseconds) // 2] if milliseconds else None,
        "p95_ms": milliseconds[int(0.95 * len(milliseconds))] if milliseconds else None,
    }


def _task(repository: Path, commit: str, name: str) -> Task | None:
    before, final = (_text(repository, f"{version}:{name}") for version in (f"{commit}^", commit))
    if before is None or final is None:
        return None
    events = edit_events(before, final)
    if not 0 < len(events) <= _MAX_EVENTS:
        return None
    if any(len(event.old) > _MAX_EVENT_LINES or len(event.new) > _MAX_EVENT_LINES for event in events):
        return None
    after = _with_first(before, events)
    rest = edit_events(final, after)  # so that its new lines are lines of `after`
    return Task(repository.name, commit, PurePath(name), before, after, final, rest)


def _with_first(before: str, events: Sequence[EditEvent]) -> str:
    """Return the text before the commit with its first change made."""
    first, lines = events[0], list(Lines(before))
    start = first.line - 1  # all lines before the first change are the same
    return "".join([*lines[:start], *first.new, *lines[start + len(first.old) :]])


def _text(repository: Path, spec: str) -> str | None:
    try:
        content = run_git(repository, "cat-file", "blob", spec)
        return content.decode() if len(content) <= _MAX_BYTES else None
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None


def _event_at(task: Task, edit: NextEdit) -> EditEvent | None:
    """Return the author's change of the line that an edit is on."""
    for event in task.rest:
        if event.line <= edit.line < event.line + max(1, len(event.new)):
            return event
    return None


def _line_after(task: Task, edit: NextEdit) -> str:
    """Return the edited line."""
    lines = list(Lines(apply_edits(task.after, [edit.edit])))
    return lines[edit.line - 1]


def _rate(outcomes: Sequence[Outcome], is_one: Callable[[Outcome], bool]) -> dict[str, object]:
    values = [float(is_one(outcome)) for outcome in outcomes]
    if not values:
        return {"rate": None, "interval": None}
    interval = cluster_bootstrap_interval(values, [outcome.task.commit for outcome in outcomes])
    return {"rate": sum(values) / len(values), "interval": interval}
