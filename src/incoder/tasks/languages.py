"""What editing knows of languages: by a file's extension, whether a text parses.

Filling, completing and editing by comment work in any language; of one that is not listed here nothing is
known, and then every candidate counts as one that parses. Another language is another line of `_LANGUAGES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from incoder.errors import IncoderError
from incoder.tasks.python_source import python_syntax_error


@dataclass(frozen=True, slots=True)
class Language:
    """`syntax_error` says what is wrong with a text and where, None where it parses."""

    name: str
    extensions: tuple[str, ...]
    syntax_error: Callable[[str], str | None]


UNNAMED_PYTHON = PurePath("file.py")  # for a Python text that comes from no file
PYTHON = Language("Python", (".py", ".pyi", ".pyw"), python_syntax_error)
_LANGUAGES = (PYTHON,)


def language_of(path: PurePath | None) -> Language | None:
    """The language of a file with this name, None where nothing is known of it."""
    extension = path.suffix if path is not None else None
    return next((language for language in _LANGUAGES if extension in language.extensions), None)


def require_python(path: PurePath, task: str) -> None:
    """Refuse a file whose name tells another language than Python.

    Raises:
        IncoderError: it does.
    """
    if path.suffix and language_of(path) is not PYTHON:
        raise IncoderError(
            f"{task} works on Python only, got {path.name}; if it is Python, give it to standard input (-)"
        )


def parse_problem(text: str, path: PurePath | None) -> str | None:
    """Why a candidate that leads to this text cannot be used: it does not parse."""
    language = language_of(path)
    error = language.syntax_error(text) if language else None
    return f"does not parse: {error}" if error else None
