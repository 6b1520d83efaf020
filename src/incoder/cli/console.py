"""What all commands share: the consoles, and how errors and progress are shown.

Results go to stdout, so that they can be piped; progress, notes and errors go to stderr. A note that cannot
be written is dropped, so that it never costs the result; a result that cannot be written is an error.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from incoder.cli.streams import FallibleConsole, drop_the_rest
from incoder.errors import IncoderError


class OutputError(IncoderError):
    """A result that cannot be written to standard output, where nothing else can be either."""


_LINE_SECONDS = 60.0  # between two lines of progress where no terminal shows it

notes: Console = FallibleConsole(lambda _: None, stderr=True, soft_wrap=True)


def result_console(**settings: Any) -> Console:
    """A console on stdout for tables and the like, with Rich's `settings`.

    Printing to it raises what `write_result` raises, but that it ends the process where nobody reads.
    """
    return FallibleConsole(_refuse_result, **settings)


def print_error(message: str) -> None:
    notes.print("[bold red]error:[/] ", end="")
    notes.print(message, markup=False)


def print_note(message: str) -> None:
    notes.print(message, markup=False)


class LinesOfProgress:
    """Progress in a log file: the latest news, once a minute at most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._next = clock, clock() + _LINE_SECONDS

    def tell(self, text: str) -> None:
        if self._clock() >= self._next:
            print_note(text)
            self._next = self._clock() + _LINE_SECONDS


class LoggedProgress(Progress):
    """Rich's progress bars on a terminal; where stderr is none, a line a minute about the task at work."""

    def __init__(self, *columns: Any, **settings: Any) -> None:
        super().__init__(*columns, console=notes, disable=not notes.is_terminal, **settings)
        self._lines = LinesOfProgress()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        if notes.is_terminal:
            return
        task = self._tasks[task_id]
        of_all = f" of {task.total:,.0f} ({task.percentage:.0f} %)" if task.total else ""
        self._lines.tell(f"{task.description}: {task.completed:,.0f}{of_all}")


@contextmanager
def progress(task: str) -> Iterator[Callable[[str], None]]:
    """Show what takes so long; the yielded function says what it is now."""
    if not notes.is_terminal:
        yield LinesOfProgress().tell
        return
    with notes.status(task) as status:
        yield status.update


@contextmanager
def progress_bar(task: str, total: int) -> Iterator[Callable[..., None]]:
    """Show how much of the work is done; the yielded function counts one more, or a number."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with LoggedProgress(*columns, transient=True) as bar:
        task_id = bar.add_task(task, total=total)
        yield lambda number=1: bar.advance(task_id, number)


def write_result(text: str) -> None:
    """Write to stdout as it is, bytes that are no UTF-8 (held as surrogates) included.

    Raises:
        OutputError: it cannot be written, as on a full disk.
        BrokenPipeError: nobody reads it any more, which ends the command without a word.
    """
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()
    except OSError as error:
        drop_the_rest(sys.stdout)
        _refuse_result(error)


def _refuse_result(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        raise error
    reason = error.strerror or error
    raise OutputError(f"the result cannot be written to standard output: {reason}") from error
