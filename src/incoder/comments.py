"""Lines of text as comments, in the language that a file's extension names.

Whatever a line contains, its comment ends exactly where the line ends.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class _Marks:
    """The marks of a one-line comment, and replacements for patterns that must not occur in its text."""

    opening: str
    closing: str = ""
    replaced: Mapping[str, str] = field(default_factory=dict)


_CONTINUED = {r"\\+\s*$": ""}  # a backslash takes the next line into the comment
_HASH = _Marks("#", replaced=_CONTINUED)
_MARKS = (
    (
        _Marks("//", replaced=_CONTINUED),
        ".c .cc .cjs .cpp .cs .cts .cu .cuh .cxx .d .dart .frag .fs .fsi .fsx .glsl .go .gradle .groovy .h "
        ".hh .hlsl .hpp .hxx .inl .ipp .java .js .json .json5 .jsonc .jsx .kt .kts .less .m .mjs .mm .mts "
        ".pas .proto .rs .sass .scala .scss .sol .styl .sv .swift .ts .tsx .v .vert .wgsl .zig",
    ),
    (_Marks("//", replaced={r"\?(?=>)": "? "}), ".php .phtml"),  # ?> ends PHP itself
    (_Marks("--"), ".ada .adb .ads .agda .elm .hs .lean .lua .sql .vhd .vhdl"),
    (_Marks("%"), ".bib .cls .erl .hrl .pro .prolog .sty .tex"),
    (_Marks(";"), ".asm .clj .cljc .cljs .edn .el .ini .lisp .lsp .nasm .rkt .scm"),
    (_Marks('"'), ".vim"),
    (_Marks("'", replaced={r"\s_\s*$": ""}), ".bas .vb .vbs"),  # _ continues the comment
    (_Marks("!"), ".f03 .f08 .f90 .f95"),
    (_Marks("REM", replaced={r"\^+\s*$": ""}), ".bat .cmd"),
    (_Marks("..", replaced={":(?=:)": ": "}), ".rst"),  # :: would make a directive of it
    (_Marks("/*", " */", {r"\*(?=/)": "* ", r"/(?=\*)": "/ "}), ".css .s"),
    # In these languages comments nest, and a string in a comment must be closed.
    (_Marks("(*", " *)", {r"\*(?=\))": "* ", r"\((?=\*)": "( ", '"': "'"}), ".ml .mli .mll .mly"),
    (
        _Marks("<!--", " -->", {"-(?=-)": "- "}),
        ".htm .html .md .plist .svelte .svg .vue .xaml .xhtml .xml .xsd .xsl",
    ),
)
_MARKS_OF = {extension: marks for marks, extensions in _MARKS for extension in extensions.split()}


def commented(lines: Iterable[str], path: PurePath | None) -> list[str]:
    """Return each line as a comment in the language of `path`, by its extension; by default with `#`.

    >>> commented(["total", "x"], PurePath("main.c"))
    ['// total', '// x']
    """
    marks = _MARKS_OF.get(path.suffix.lower() if path else "", _HASH)
    return [_comment(line, marks) for line in lines]


def _comment(line: str, marks: _Marks) -> str:
    for pattern, replacement in marks.replaced.items():
        line = re.sub(pattern, replacement, line)
    return f"{marks.opening} {line}".rstrip() + marks.closing
