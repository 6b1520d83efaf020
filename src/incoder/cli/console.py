"""What all commands share: the standard streams, and how errors and progress are shown.

Results go to stdout, so that they can be piped; progress, notes and errors go to stderr. A note that cannot
be written is dropped, so that it never costs the result; a result that cannot be written is an error.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from incoder.errors import IncoderError


class OutputError(IncoderError):
    """A result that cannot be written to standard output, where nothing else can be either."""


class _Stream:
    """A text stream for a console; a write that fails goes to `on_failure`, and nothing more is written."""

    def __init__(self, stream: IO[str], on_failure: Callable[[OSError], None]) -> None:
        self._stream = stream
        self._on_failure = on_failure

    def write(self, text: str) -> int:
        with self._failing():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._failing():
            self._stream.flush()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            drop_the_rest(self._stream)
            self._on_failure(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Console(Console):
    """Rich's console, whose writes may fail."""

    def __init__(self, on_failure: Callable[[OSError], None], **settings: Any) -> None:
        self._on_failure = on_failure
        super().__init__(highlight=False, **settings)

    @property
    def file(self) -> IO[str]:
        return cast(IO[str], _Stream(super().file, self._on_failure))

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file


notes: Console = _Console(lambda _: None, stderr=True, soft_wrap=True)


def result_console(**settings: Any) -> Console:
    """A console on stdout for tables and the like, with Rich's `settings`.

    Printing to it raises what `write_result` raises, but that it ends the process where nobody reads.
    """
    return _Console(_refuse_result, **settings)


def print_error(message: str) -> None:
    notes.print("[bold red]error:[/] ", end="")
    notes.print(message, markup=False)


def print_note(message: str) -> None:
    notes.print(message, markup=False)


@contextmanager
def progress(task: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal what takes so long; the yielded function says what it is now."""
    if not notes.is_terminal:
        yield lambda _: None
        return
    with notes.status(task) as status:
        yield status.update


@contextmanager
def progress_bar(task: str, total: int) -> Iterator[Callable[..., None]]:
    """Show on a terminal how much of the work is done; the yielded function counts one more, or a number."""
    if not notes.is_terminal:
        yield lambda _number=1: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes, transient=True) as bar:
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


def open_closed_streams() -> None:
    """Give stdin, stdout and stderr, where the caller closed them, streams that fail when they are used.

    Otherwise the next file that is opened gets the number of a closed stream, and results or notes end up in
    that file.
    """
    wrong_ways = (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_WRONLY))
    for number, (name, mode, flags) in enumerate(wrong_ways):
        if getattr(sys, name) is None:
            with suppress(OSError):
                os.fstat(number)
                continue
            os.open(os.devnull, flags)  # gets the lowest number that is free
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _refuse_result(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        raise error
    reason = error.strerror or error
    raise OutputError(f"the result cannot be written to standard output: {reason}") from error


def drop_the_rest(stream: IO[str]) -> None:
    """Send to nowhere what the stream still holds, which Python would else write at its end, and complain."""
    with suppress(OSError, ValueError):
        number = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)
