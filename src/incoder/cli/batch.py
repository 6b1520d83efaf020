"""Edit one file or many: show or write the result of each file, and report on all of them.

A command passes a function that edits one file and knows nothing of the others. If there is a single file, an
error ends the command; if there are several, each file that fails is counted, and the others are edited.
"""

import json as json_format
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import typer

from incoder.cli import options
from incoder.cli.console import OutputError, print_note, write_result
from incoder.cli.file_list import FileList
from incoder.cli.results import as_diff
from incoder.cli.source import check_replaceable, replace_source
from incoder.errors import IncoderError

_MAX_REASONS = 3  # shown for the places that were left unchanged
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Output:
    """The destination of results: the files, diffs, JSON, or (by default) the whole text on stdout."""

    in_place: bool = False
    diff: bool = False
    json: bool = False


@dataclass(frozen=True, slots=True)
class Edited:
    """The result of a command for one file.

    `described` is the file's object with --json; `notes` are shown after the result of a single file. `new`
    has an edit in `num_written` places, and `left` has a reason for each place without one. `nothing_to_do`
    is the reason why there was no place to edit, and `failure` the reason why none could be written. A
    `shortfall` says that some places were written and others were not, where all of them were asked for: the
    result is shown or written, and the command fails.
    """

    file: str
    old: str
    new: str
    described: Mapping[str, Any]
    num_written: int = 0
    left: Sequence[str] = ()
    nothing_to_do: str | None = None
    failure: str | None = None
    shortfall: str | None = None
    notes: Sequence[str] = ()


class EveryFileError(IncoderError):
    """An error that every file would fail with, such as a missing model; it ends the command."""


def once(make: Callable[[], _Value]) -> Callable[[], _Value]:
    """Return a function that calls `make` once and always returns its result; an error ends the command."""

    def made() -> _Value:
        try:
            return make()
        except IncoderError as error:
            raise EveryFileError(str(error)) from error

    return cache(made)


def check_output(files: FileList, output: Output, *, one_file_only: Mapping[str, bool] | None = None) -> None:
    """Refuse a kind of output that does not fit the files, before any of them is read.

    `one_file_only` names the options that make sense for a single file only, and says which are used.

    Raises:
        typer.BadParameter: the output, or one of these options, does not go with these files.
        IncoderError: the single file is to be changed in place, and cannot be replaced.
    """
    first = files.paths[0] if files.is_one else ""
    options.check_output(first, in_place=output.in_place, diff=output.diff, json=output.json)
    if files.is_one:
        return
    if not (output.in_place or output.diff or output.json):
        raise typer.BadParameter(
            "several files or a folder need --in-place, --diff or --json; the text of a single file alone "
            "goes to standard output"
        )
    for name, is_used in (one_file_only or {}).items():
        if is_used:
            raise typer.BadParameter(f"{name} needs a single file, not several files or a folder")


def edit_files(files: FileList, edit: Callable[[str], Edited], output: Output) -> None:
    """Edit the files one by one, show or write each result, and report on each file.

    With --json the result of a single file is its object. Several files give one object with a list `files`:
    the object of each file, or `file` and `error` for a file that failed.

    Raises:
        IncoderError: the single file failed, or at least one of several.
    """
    if files.is_one:
        deliver(edit(files.paths[0]), output)
    else:
        _Batch(files, edit, output).run()


def deliver(edited: Edited, output: Output) -> None:
    """Show or write the result of a single file, then its notes.

    Raises:
        IncoderError: no place could be edited, or the file cannot be written, and it is left as it is; or
            there is a shortfall.
    """
    if output.json:
        write_result(json_format.dumps(edited.described) + "\n")
    elif not edited.failure:
        _show(edited, output)
    for note in edited.notes:
        print_note(note)
    if edited.failure:
        raise IncoderError(edited.failure)
    if edited.nothing_to_do:
        note_nothing_to_do(edited.nothing_to_do)
    elif output.in_place and (edited.num_written or edited.left):
        print_note(f"{edited.file}: {_counted(edited.num_written, edited.left, 'written')}")
    if edited.shortfall:
        raise IncoderError(edited.shortfall)


def note_nothing_to_do(reason: str) -> None:
    """Print that there is nothing to do, and why; this is not a failure."""
    print_note(_nothing_to_do(reason))


@dataclass(slots=True)
class _Batch:
    """Edits several files, and counts how each of them ended: changed, unchanged or failed."""

    files: FileList
    edit: Callable[[str], Edited]
    output: Output
    described: list[Mapping[str, Any]] = field(default_factory=list)
    num_written: int = 0
    left: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    shortfalls: list[str] = field(default_factory=list)

    def run(self) -> None:
        try:
            for number, file in enumerate(self.files.paths, start=1):
                print_note(f"{number}/{len(self.files.paths)} {self._edit_one(file)}")
        except (EveryFileError, OutputError, KeyboardInterrupt):
            if self.ends.total():
                print_note(f"ended early. {self._summary()}")
            raise
        if self.output.json:
            counts = {f"num_{end}": self.ends[end] for end in ("changed", "unchanged", "failed")}
            write_result(json_format.dumps({"files": self.described, **counts}) + "\n")
        if not self.files.paths:
            note_nothing_to_do("the given folders have no files to edit")
            return
        print_note(self._summary())
        if self.ends["failed"]:
            raise IncoderError(f"{self.ends['failed']} of {_files(len(self.files.paths))} failed")
        if self.shortfalls:
            raise IncoderError(f"{_files(len(self.shortfalls))} fell short; {self.shortfalls[0]}")

    def _edit_one(self, file: str) -> str:
        """Edit one file and count it; returns a line that reports on it."""
        try:
            if self.output.in_place:
                check_replaceable(file)
            edited = self.edit(file)
            if edited.failure:
                self.described.append({**edited.described, "error": edited.failure})
                return self._failed(file, edited.failure)
            if not self.output.json:
                _show(edited, self.output)
        except (EveryFileError, OutputError):
            raise
        except IncoderError as error:
            self.described.append({"file": file, "error": str(error)})
            return self._failed(file, str(error))
        self.described.append(edited.described)
        self.num_written += edited.num_written
        self.left += edited.left
        self.shortfalls += [f"{file}: {edited.shortfall}"] if edited.shortfall else []
        self.ends["unchanged" if edited.new == edited.old else "changed"] += 1
        if edited.nothing_to_do:
            return f"{file}: {_nothing_to_do(edited.nothing_to_do)}"
        return f"{file}: {_counted(edited.num_written, edited.left, self._verb)}"

    def _failed(self, file: str, message: str) -> str:
        self.ends["failed"] += 1
        message = message.removeprefix(f"{file}: ")
        is_named = re.search(rf"(?<![\w./-]){re.escape(file)}(?![\w/-]|\.\w)", message)
        return f"failed: {message}" if is_named else f"{file}: failed: {message}"

    def _summary(self) -> str:
        changed = "changed" if self.output.in_place else "would change"
        ends = [f"{self.ends['changed']} {changed}", f"{self.ends['unchanged']} unchanged"]
        ends += [f"{self.ends['failed']} failed"] if self.ends["failed"] else []
        places = _counted(self.num_written, self.left, self._verb)
        return f"{_files(self.ends.total())}: {', '.join(ends)}; {places}"

    @property
    def _verb(self) -> str:
        return "written" if self.output.in_place else "proposed"


def _show(edited: Edited, output: Output) -> None:
    if output.in_place:
        if edited.new != edited.old:
            replace_source(edited.file, old=edited.old, new=edited.new)
    else:
        write_result(as_diff(edited.file, edited.old, edited.new) if output.diff else edited.new)


def _nothing_to_do(reason: str) -> str:
    return f"nothing to do: {reason}"


def _files(number: int) -> str:
    return f"{number} file{'s' if number != 1 else ''}"


def _counted(num_written: int, left: Sequence[str], verb: str) -> str:
    """Return the number of places that were written and left, with the most frequent reasons.

    Reasons count as the same if they are equal up to their colon.
    """
    counted = f"{num_written} {verb}"
    if not left:
        return counted
    reasons = Counter(reason.partition(":")[0] for reason in left).most_common()
    shown = [f"{reason} ({number})" if len(reasons) > 1 else reason for reason, number in reasons]
    num_others = sum(number for _, number in reasons[_MAX_REASONS:])
    more = [f"other reasons ({num_others})"] if num_others else []
    return f"{counted}, {len(left)} left: {', '.join([*shown[:_MAX_REASONS], *more])}"
