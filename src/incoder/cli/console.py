"""The consoles of all commands, and the display of errors and progress.

Results go to stdout, so that they can be piped; progress, notes and errors go to stderr. A note that cannot
be written is dropped, so that it never costs the result; a result that cannot be written is an error.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from incoder.cli.log_lines import LoggedProgress, LogLines
from incoder.cli.streams import FallibleConsole, drop_the_rest
from incoder.errors import IncoderError


class OutputError(IncoderError):
    """A result cannot be written to standard output, so nothing else can be either."""


notes: Console = FallibleConsole(lambda _: None, stderr=True, soft_wrap=True)


def result_console(**settings: Any) -> Console:
    """Return a console on stdout for tables and the like, with Rich's `settings`.

    Printing raises the errors of `write_result`; if nobody reads the output, the process ends instead.
    """
    return FallibleConsole(_refuse_result, **settings)


def print_error(message: str) -> None:
    notes.print("[bold red]error:[/] ", end="")
    notes.print(message, markup=False)


def print_note(message: str) -> None:
    notes.print(message, markup=False)


@contextmanager
def progress(task: str) -> Iterator[Callable[[str], None]]:
    """Show a task that takes long; the yielded function replaces its description."""
    if not notes.is_terminal:
        yield LogLines(print_note).tell
        return
    with notes.status(task) as status:
        yield status.update


@contextmanager
def progress_bar(task: str, total: int) -> Iterator[Callable[..., None]]:
    """Show how much of the work is done; the yielded function adds one, or a given number."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with LoggedProgress(*columns, console=notes, transient=True) as bar:
        task_id = bar.add_task(task, total=total)
        yield lambda number=1: bar.advance(task_id, number)


def write_result(text: str) -> None:
    """Write the text to stdout as it is; surrogates become the bytes that are no UTF-8.

    Raises:
        OutputError: it cannot be written, for example because the disk is full.
        BrokenPipeError: the reader has closed the pipe; the command ends without a message.
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
