"""The syntax check of each language, found by a file's extension.

Filling, completing and editing by comment work in any language. Python, JSON and TOML are parsed. In the
other languages listed here, brackets, strings and comments are checked. In a language that is not listed,
every candidate counts as one that parses. To add a language, add a line to `_LANGUAGES`.
"""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath

from incoder.editing import brackets
from incoder.editing.brackets import Notation, bracket_error
from incoder.editing.python_source import python_syntax_error
from incoder.errors import IncoderError


@dataclass(frozen=True, slots=True)
class Language:
    """A language; its function `syntax_error` describes a text's first error, None if the text parses."""

    name: str
    extensions: tuple[str, ...]
    syntax_error: Callable[[str], str | None]


def _json_error(text: str) -> str | None:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return None


def _toml_error(text: str) -> str | None:
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return None


def _bracketed(name: str, extensions: str, notation: Notation) -> Language:
    return Language(name, tuple(extensions.split()), partial(bracket_error, notation=notation))


UNNAMED_PYTHON = PurePath("file.py")  # for a Python text that comes from no file
PYTHON = Language("Python", (".py", ".pyi", ".pyw"), python_syntax_error)
_LANGUAGES = (
    PYTHON,
    Language("JSON", (".json",), _json_error),
    Language("TOML", (".toml",), _toml_error),
    _bracketed("C", ".c .cc .cpp .cxx .h .hh .hpp .hxx .m .mm", brackets.C),
    _bracketed("C#", ".cs", brackets.C_SHARP),
    _bracketed("CSS", ".css", brackets.CSS),
    _bracketed("Dart", ".dart", brackets.DART),
    _bracketed("Go", ".go", brackets.GO),
    _bracketed("Java", ".java .kt .kts .scala .swift", brackets.JAVA),
    _bracketed("JavaScript", ".cjs .cts .js .jsx .mjs .mts .ts .tsx", brackets.JAVASCRIPT),
    _bracketed("Lua", ".lua", brackets.LUA),
    _bracketed("PHP", ".php", brackets.PHP),
    _bracketed("R", ".R .r", brackets.R),
    _bracketed("Rust", ".rs", brackets.RUST),
    _bracketed("SCSS", ".less .scss", brackets.SCSS),
    _bracketed("SQL", ".sql", brackets.SQL),
)


def language_of(path: PurePath | None) -> Language | None:
    """The language of a file by its name, None if it is not listed.

    >>> language_of(PurePath("site.css")).name
    'CSS'
    """
    extension = path.suffix if path is not None else None
    return next((language for language in _LANGUAGES if extension in language.extensions), None)


def is_python(path: PurePath) -> bool:
    """Whether a file's extension is one of Python's.

    >>> is_python(PurePath("a.py")), is_python(PurePath("a.js"))
    (True, False)
    """
    return language_of(path) is PYTHON


def require_python(path: PurePath, task: str) -> None:
    """Refuse a file of another language than Python; `task` names the tool in the message.

    Raises:
        IncoderError: the file has an extension that is not one of Python's.
    """
    if path.suffix and not is_python(path):
        raise IncoderError(
            f"{task} works on Python only, got {path.name}; if it is Python, give it to standard input (-)"
        )


def parse_problem(text: str, path: PurePath | None) -> str | None:
    """The reason why a text cannot be used: it does not parse in the language of `path`; else None.

    >>> parse_problem("def f(:", PurePath("a.py"))
    'does not parse: invalid syntax (line 1)'
    """
    language = language_of(path)
    error = language.syntax_error(text) if language else None
    return f"does not parse: {error}" if error else None
