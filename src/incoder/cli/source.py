"""The text a command works on: a file or standard input, kept to the byte."""

import stat
import sys
from pathlib import Path

from incoder.cli.console import notes, print_note
from incoder.errors import IncoderError
from incoder.files import write_bytes

STANDARD_INPUT = "-"
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def read_source(file: str) -> str:
    """The text of the file, or of standard input for `-`; bytes that are no UTF-8 come as surrogates.

    Raises:
        IncoderError: the file cannot be read.
    """
    return _decoded(_read(file))


def replace_source(file: str, old: str, new: str) -> None:
    """Write the new text into the file, if it still holds the old one.

    Raises:
        IncoderError: the file was changed meanwhile, is read-only, or cannot be written; it is left as it is.
    """
    if _decoded(_read(file)) != old:
        raise IncoderError(f"{file} was changed meanwhile; it is left as it is")
    if not Path(file).stat().st_mode & _WRITABLE:  # a new file would take its place whatever its mode
        raise IncoderError(f"{file} is read-only; it is left as it is. chmod u+w makes it writable")
    write_bytes(Path(file), new.encode("utf-8", "surrogateescape"))


def _read(file: str) -> bytes:
    if file == STANDARD_INPUT:
        if sys.stdin.isatty() and notes.is_terminal:
            print_note("reading standard input; Ctrl-D ends it")
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except FileNotFoundError as error:
        raise IncoderError(f"there is no file {file}; give a path, or - for standard input") from error
    except IsADirectoryError as error:
        raise IncoderError(f"{file} is a folder; give a file, or - for standard input") from error
    except OSError as error:
        raise IncoderError(f"cannot read {file}: {error.strerror or error}") from error


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
