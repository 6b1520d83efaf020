"""The text that a command works on, from a file or standard input, preserved byte by byte.

Input has a maximum size. UTF-16, UTF-32 and binary files are refused, notebooks by all but the commands that
can write into their cells (holed_file.py).
"""

import codecs
import json
import os
import re
import stat
import sys
from pathlib import Path

from incoder.cli.console import notes, print_note
from incoder.errors import IncoderError
from incoder.files import kind_of, read_at_most, write_bytes

STANDARD_INPUT = "-"
MAX_INPUT = "INCODER_MAX_INPUT_MB"

_DEFAULT_MAX_INPUT_MB = 64
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_WIDE_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_MEGABYTES = re.compile(r"[1-9][0-9]{0,5}")
_NUM_SAMPLED = 4096  # bytes, to distinguish UTF-16 and UTF-32 from binary data


def read_source(file: str) -> str:
    """Read the text of the file, or of standard input for `-`; bytes that are not UTF-8 become surrogates.

    Raises:
        IncoderError: the file cannot be read, is too large, or is not text that can be edited.
    """
    text = read_source_or_notebook(file)
    if is_notebook(file, text):
        raise IncoderError(
            f"{name_of(file)} is a notebook, whose JSON would break if text were written into its cells. "
            "Only `incoder fill` can do so; work on a script made from it (jupyter nbconvert --to script)"
        )
    return text


def read_source_or_notebook(file: str) -> str:
    """Read a text as `read_source` does, but do not refuse a notebook.

    Raises:
        IncoderError: see `read_source`.
    """
    content = read_input(file)
    _refuse_other_encodings(file, content)
    return content.decode("utf-8", "surrogateescape")


def is_notebook(file: str, text: str) -> bool:
    """Whether a file is a Jupyter notebook, by its name or by its text.

    >>> is_notebook("a.ipynb", ""), is_notebook("-", '{"nbformat": 4, "cells": []}'), is_notebook("a.py", "")
    (True, True, False)
    """
    if Path(file).suffix == ".ipynb":
        return True
    return text.lstrip("\ufeff \t\r\n").startswith("{") and '"nbformat"' in text and _has_cells(text)


def read_input(file: str) -> bytes:
    """Read the bytes of the file, or of standard input for `-`.

    Raises:
        IncoderError: they cannot be read, or there are too many.
    """
    max_megabytes = _max_megabytes()
    content = _read(file, max_megabytes * 10**6)
    if content is None:
        raise IncoderError(
            f"{name_of(file)} has more than {max_megabytes} MB, the most that is read; "
            f"{MAX_INPUT}={2 * max_megabytes} in the environment allows more"
        )
    return content


def check_replaceable(file: str) -> None:
    """Raise if a file cannot be replaced, before any work is done on it.

    A missing file passes: reading it reports the error.

    Raises:
        IncoderError: it is not a regular file, is read-only, or would get another owner or group.
    """
    try:
        status = Path(file).stat()
    except OSError:
        return
    if not stat.S_ISREG(status.st_mode):
        raise IncoderError(f"{file} is a {kind_of(status)}; only a regular file can be changed in place")
    if not status.st_mode & _WRITABLE:  # a rename would replace it nevertheless
        raise IncoderError(f"{file} is read-only; it is left as it is. chmod u+w makes it writable")
    if os.geteuid() == 0:
        return
    lost = []
    if status.st_uid != os.geteuid():
        lost.append(f"owner (user {status.st_uid})")
    if status.st_gid not in {os.getegid(), *os.getgroups()}:
        lost.append(f"group ({status.st_gid})")
    if lost:
        raise IncoderError(
            f"{file} would lose its {' and '.join(lost)}, which only root could give it again; it is left as "
            "it is. Write the result elsewhere (without --in-place), then copy it over the file"
        )


def replace_source(file: str, old: str, new: str) -> None:
    """Write the new text to the file if it still has the old text.

    The file keeps its mode, owner, group and extended attributes, but for setuid and setgid.

    Raises:
        IncoderError: the file was changed meanwhile, or cannot be replaced or written; it is left as it is.
    """
    check_replaceable(file)
    if read_input(file) != _encoded(old):
        raise IncoderError(f"{file} was changed meanwhile; it is left as it is")
    status = Path(file).stat()
    write_bytes(Path(file), _encoded(new))
    if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        print_note(f"{file}: the new file has no setuid and setgid bits; set them again if you trust it")
    if status.st_nlink > 1:
        print_note(
            f"{file}: the file had {status.st_nlink} hard links; this one is a new file now, and the others "
            "keep the old content"
        )


def _max_megabytes() -> int:
    value = os.environ.get(MAX_INPUT, str(_DEFAULT_MAX_INPUT_MB))
    if not _MEGABYTES.fullmatch(value):
        raise IncoderError(f"{MAX_INPUT} must be a number of megabytes in [1, 999999], got {value!r}")
    return int(value)


def _read(file: str, max_bytes: int) -> bytes | None:
    """Return the bytes of the input, or None if there are more than `max_bytes`."""
    if file == STANDARD_INPUT:
        if sys.stdin.isatty() and notes.is_terminal:
            print_note("reading standard input; Ctrl-D ends it")
        try:
            content = sys.stdin.buffer.read(max_bytes + 1)
        except OSError as error:
            raise IncoderError(f"cannot read standard input: {error.strerror or error}") from error
        return content if len(content) <= max_bytes else None
    try:
        return read_at_most(Path(file), max_bytes)
    except FileNotFoundError as error:
        raise IncoderError(f"there is no file {file}; give a path, or - for standard input") from error
    except IsADirectoryError as error:
        raise IncoderError(f"{file} is a folder; give a file, or - for standard input") from error
    except OSError as error:
        raise IncoderError(f"cannot read {file}: {error.strerror or error}") from error


def _refuse_other_encodings(file: str, content: bytes) -> None:
    encoding = next((name for mark, name in _WIDE_MARKS.items() if content.startswith(mark)), None)
    if encoding is None and b"\0" in content:
        encoding = _wide_encoding(content[:_NUM_SAMPLED])
        if encoding is None:
            raise IncoderError(f"{name_of(file)} is binary, not text: it has NUL bytes")
    if encoding is not None:
        raise IncoderError(
            f"{name_of(file)} is {encoding}, and only UTF-8 can be edited; convert it first "
            f"(iconv -f {encoding} -t UTF-8), and convert it back afterwards"
        )


def _wide_encoding(sample: bytes) -> str | None:
    """Return UTF-32 or UTF-16 if bytes without a mark decode to mostly ASCII text without NUL."""
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(sample)
        except UnicodeDecodeError:
            continue
        num_ascii = sum(character.isascii() for character in text)
        if "\0" not in text and 2 * num_ascii > len(text):
            return encoding[:6].upper()
    return None


def _has_cells(text: str) -> bool:
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "cells" in content


def name_of(file: str) -> str:
    """Return the name of a file in messages."""
    return "standard input" if file == STANDARD_INPUT else file


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
