"""Other files of a repository as comments before a text, for models that know no layout for them.

Texts in, a text out; knows no tokens. Whole files, so that what is shown stays put between two keystrokes.
"""

from collections.abc import Mapping
from pathlib import PurePath

_HASH = "#"
_MARKS = {
    "//": ".c .cc .cpp .cs .dart .go .h .hpp .java .js .jsx .kt .m .mm .php .rs .scala .swift .ts .tsx .zig",
    "--": ".adb .ads .elm .hs .lua .sql .vhd .vhdl",
    "%": ".erl .hrl .pl .tex",
    ";": ".asm .clj .el .lisp .scm .s",
    '"': ".vim",
}
_MARK_OF = {extension: mark for mark, extensions in _MARKS.items() for extension in extensions.split()}


def as_comments(files: Mapping[str, str], path: PurePath) -> str:
    """The files as comments in the language of `path`: the name of each, its lines, and a blank line."""
    mark = _MARK_OF.get(path.suffix.lower(), _HASH)
    return "".join(
        "".join(f"{mark} {line}".rstrip() + "\n" for line in [name, *text.splitlines()]) + "\n"
        for name, text in files.items()
    )
