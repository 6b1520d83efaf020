"""The language of a file by its extension, as in the paper (section 3.1).

The 28 languages are the paper's. Their extensions are those that linguist (github-linguist, MIT) calls
primary or unambiguous; a few belong to languages outside the 28 as well, and `other_language` recognises
those by their content where a recipe asks for it.
"""

import difflib
import re
from pathlib import PurePosixPath
from typing import Literal

AmbiguousRule = Literal["extension", "content", "leave-out"]

EXTENSIONS_OF = {
    "C": ".c .h",
    "C++": ".cpp .cc .cxx .c++ .hpp .hh .hxx .h++ .ipp .inl .tcc .tpp",
    "CSS": ".css",
    "C#": ".cs .csx .cake",
    "Common Lisp": ".lisp .lsp .asd .ny .podsl .sexp",
    "Dart": ".dart",
    "Forth": ".fth .4th .forth .frt",
    "Go": ".go",
    "HTML": ".html .htm .xhtml .xht",
    "Haskell": ".hs .hsc .hs-boot",
    "Java": ".java",
    "JavaScript": ".js .mjs .cjs .jsx .es6",
    "Julia": ".jl",
    "Jupyter": ".ipynb",
    "Kotlin": ".kt .kts .ktm",
    "Lua": ".lua .wlua .rockspec .nse",
    "MATLAB": ".m .matlab",
    "PHP": ".php .phpt .php3 .php4 .php5 .phps .ctp",
    "Perl": ".pl .pm .t .plx .psgi .perl",
    "Python": ".py .pyi .pyw .wsgi .gyp",
    "R": ".r .rsx",
    "Ruby": ".rb .rake .gemspec .ru .podspec .jbuilder .rabl",
    "Rust": ".rs",
    "SQL": ".sql .ddl .prc .viw .udf",
    "Scala": ".scala .sbt .sc",
    "Shell": ".sh .bash .zsh .ksh .bats .command",
    "Swift": ".swift",
    "TypeScript": ".ts .tsx .mts .cts",
}

LANGUAGES = {
    extension: language for language, extensions in EXTENSIONS_OF.items() for extension in extensions.split()
}
NOTEBOOK = ".ipynb"

_OBJECTIVE_C = (
    r"^[ \t]*(?:@(?:interface|class|protocol|property|end|synchronized|selector|implementation)\b|"
    r"#import\s+[\"<])"
)

# What only the other language of an extension has, after linguist's heuristics.yml.
_OTHER = {
    ".cs": {"Smalltalk": r"^![\w\s]+methodsFor: "},
    ".h": {"Objective-C": _OBJECTIVE_C},
    ".lsp": {"NewLisp": r"^[ \t]*\(define[ \t]"},
    ".m": {
        "Objective-C": _OBJECTIVE_C,
        "Mercury": r":- module",
        "Wolfram": r"\(\*",
    },
    ".php": {"Hack": r"\A\s*<\?hh"},
    ".pl": {"Prolog": r"^[^#\n]*:-", "Raku": r"^(?:use v6|unit class|unit module)\b"},
    ".pm": {"Raku": r"^(?:use v6|unit class|unit module)\b", "X PixMap": r"^/\* XPM \*/"},
    ".r": {"Rebol": r"(?i:\brebol)\s*\[", "Rez": r"^[ \t]*#include\s+\"Types\.r\""},
    ".sc": {"SuperCollider": r"^[ \t]*(?:\+\s*\w+\s*\{|~\w+\s*=\.?|SynthDef\b)"},
    ".sql": {"PL/SQL": r"(?i:\bpragma\s+autonomous_transaction|\bdbms_output\b|%(?:row)?type\b)"},
    ".t": {"Turing": r"^[ \t]*\w+\s*:=\s*\w+", "Raku": r"^(?:use v6|my class|[ \t]*class)\b"},
    ".ts": {"XML": r"\A\s*<(?:\?xml|!DOCTYPE TS|TS\b)"},
}
_OTHER_PATTERNS = {
    extension: {language: re.compile(pattern, re.MULTILINE) for language, pattern in others.items()}
    for extension, others in _OTHER.items()
}

AMBIGUOUS = frozenset(_OTHER)

_LOOKED_AT = 20_000  # characters: enough of a file to know it by


def extension_of(path: str) -> str:
    """The last extension of the file name, lower-cased, with its dot; empty if there is none.

    >>> extension_of("a/B.PY"), extension_of("Makefile")
    ('.py', '')
    """
    return PurePosixPath(path).suffix.lower()


def language_named(name: str) -> str:
    """The language with this name, in upper or lower case.

    >>> language_named("python")
    'Python'

    Raises:
        ValueError: it is not one of the languages that are known by a file's extension.
    """
    names = {known.lower(): known for known in EXTENSIONS_OF}
    if name.lower() in names:
        return names[name.lower()]
    near = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f"; did you mean {names[near[0]]}?" if near else ""
    raise ValueError(f"{name!r} is not one of {', '.join(EXTENSIONS_OF)}{hint}")


def other_language(extension: str, text: str) -> str | None:
    """The language outside the 28 that a text with an ambiguous extension is written in, or None.

    >>> other_language(".m", "#import <UIKit/UIKit.h>\\n")
    'Objective-C'
    >>> other_language(".m", "x = zeros(3);\\n")
    """
    beginning = text[:_LOOKED_AT]
    for language, pattern in _OTHER_PATTERNS.get(extension, {}).items():
        if pattern.search(beginning):
            return language
    return None
