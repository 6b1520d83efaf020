"""A file before and after the edit that a unified diff describes."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from incoder.editing.lines import Lines
from incoder.errors import IncoderError

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_NO_LINE_END = "\\ No newline"


@dataclass(slots=True)
class _Hunk:
    old_start: int
    new_start: int
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def versions(text: str, diff: str, path: PurePath) -> tuple[str, str]:
    """Return the text of the file at `path` before and after the edit that a unified diff describes.

    `text` is the file's content, with the edit made or not yet made. A diff of several files is searched for
    one of this name.

    Raises:
        IncoderError: the diff is cut off, has no change of this file, or belongs to another version of it.

    >>> versions("b\\n", "--- a.py\\n+++ a.py\\n@@ -1 +1 @@\\n-a\\n+b\\n", PurePath("a.py"))
    ('a\\n', 'b\\n')
    """
    hunks = list(_hunks(diff, path))
    if not hunks:
        raise IncoderError(f"the diff has no change of {path.name}; make one with: git diff {path.name}")
    lines = [line for line in Lines(text) if line]
    before = _replaced(lines, [(hunk.new_start, hunk.new, hunk.old) for hunk in hunks])
    if before is not None:
        return before, text
    after = _replaced(lines, [(hunk.old_start, hunk.old, hunk.new) for hunk in hunks])
    if after is not None:
        return text, after
    raise IncoderError(
        f"the diff is of another version of {path.name}: the file has neither its old nor its new lines at "
        "the places that it names"
    )


def _hunks(diff: str, path: PurePath) -> Iterator[_Hunk]:
    """Yield the hunks of a file: of the only file in the diff, or of the one with this name."""
    by_name: dict[str, list[_Hunk]] = {}
    name, left_old, left_new = "", 0, 0
    last: list[list[str]] = []
    for line in Lines(diff):
        if left_old > 0 or left_new > 0 or (last and line.startswith(_NO_LINE_END)):
            hunk = by_name[name][-1]
            if line.startswith(_NO_LINE_END):
                for side in last:
                    side[-1] = side[-1].rstrip("\r\n")
                continue
            sides = {"-": [hunk.old], "+": [hunk.new]}.get(line[:1], [hunk.old, hunk.new])
            left_old -= line[:1] != "+"
            left_new -= line[:1] != "-"
            for side in sides:
                side.append(line[1:] if line[:1] in ("-", "+", " ") else line)
            last = sides
        elif line.startswith("+++ "):
            name, last = PurePath(line[4:].split("\t")[0].strip()).name, []
        elif (match := _HUNK.match(line)) is not None:
            old_start, num_old, new_start, num_new = match.groups(default="1")
            left_old, left_new, last = int(num_old), int(num_new), []
            by_name.setdefault(name, []).append(_Hunk(int(old_start), int(new_start)))
    if left_old > 0 or left_new > 0:
        raise IncoderError("the diff ends within a change; copy it whole, or make it again with git diff")
    yield from by_name.get(path.name, next(iter(by_name.values())) if len(by_name) == 1 else [])


def _replaced(lines: Sequence[str], places: Sequence[tuple[int, list[str], list[str]]]) -> str | None:
    """Return the text with the lines at each place replaced, None if other lines are there."""
    result, done = [], 0
    for start, expected, new in places:
        first = start - 1 if expected else start  # a hunk without lines comes after line `start`
        if first < done or list(lines[first : first + len(expected)]) != expected:
            return None
        result += [*lines[done:first], *new]
        done = first + len(expected)
    return "".join([*result, *lines[done:]])
