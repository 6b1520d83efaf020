"""Lines of text as comments, in the language that a file's name tells."""

from collections.abc import Iterable
from pathlib import PurePath

_HASH = ("#", "")
_MARKS = {
    (
        "//",
        "",
    ): ".c .cc .cpp .cs .dart .go .h .hpp .java .js .jsx .kt .m .mm .php .rs .scala .swift .ts .tsx .zig",
    ("--", ""): ".adb .ads .elm .hs .lua .sql .vhd .vhdl",
    ("%", ""): ".erl .hrl .pl .tex",
    (";", ""): ".asm .clj .el .lisp .scm .s",
    ('"', ""): ".vim",
    ("/*", " */"): ".css",
    ("<!--", " -->"): ".htm .html .md .svg .vue .xhtml .xml",
}
_MARKS_OF = {extension: marks for marks, extensions in _MARKS.items() for extension in extensions.split()}


def commented(lines: Iterable[str], path: PurePath | None) -> list[str]:
    """Each line as a comment, by the extension of `path`; after `#` where that tells no language."""
    opening, closing = _MARKS_OF.get(path.suffix.lower() if path else "", _HASH)
    return [f"{opening} {line}".rstrip() + closing for line in lines]
