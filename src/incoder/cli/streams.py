"""Standard streams on a full disk or closed ones, and consoles that survive them.

After a failed write a stream is redirected to the null device, so that Python does not write again at exit.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, cast

from rich.console import Console


class _Stream:
    """A text stream for a console; after a failed write it calls `on_failure` and writes nothing more."""

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


class FallibleConsole(Console):
    """Rich's console on a stream whose writes may fail; `on_failure` gets the error."""

    def __init__(self, on_failure: Callable[[OSError], None], **settings: Any) -> None:
        self._on_failure = on_failure
        super().__init__(highlight=False, **settings)

    @property
    def file(self) -> IO[str]:
        return cast(IO[str], _Stream(super().file, self._on_failure))

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file


def open_closed_streams() -> None:
    """Replace each standard stream that the caller has closed with one that fails when it is used.

    Otherwise the next file that is opened gets the descriptor of the closed stream, and results or notes end
    up in that file.
    """
    # Each is opened for the wrong direction, so that reading or writing fails.
    wrong_ways = (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_WRONLY))
    for number, (name, mode, flags) in enumerate(wrong_ways):
        if getattr(sys, name) is None:
            with suppress(OSError):
                os.fstat(number)
                continue
            os.open(os.devnull, flags)  # gets the lowest free number
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def drop_the_rest(stream: IO[str]) -> None:
    """Discard the stream's buffer: Python would try to write it at exit, and print an error."""
    with suppress(OSError, ValueError):
        number = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)
