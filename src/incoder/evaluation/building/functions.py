"""The functions of a folder of Python files, each as a file of its own.

Files that cannot be read or do not parse are counted and left out, and so are copies of functions.
"""

import ast
import hashlib
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from incoder.editing.python_source import Function, PythonSource
from incoder.errors import IncoderError

_MAX_FILE_BYTES = 200_000
_MIN_LINES, _MAX_LINES = 3, 80


@dataclass(frozen=True, slots=True)
class FoundFunction:
    """A function's source without its indentation, and the place where it was found."""

    project: str
    path: str
    name: str
    line: int
    source: PythonSource

    @property
    def node(self) -> Function:
        """The function's node in the tree of its own source."""
        (node,) = self.source.tree.body
        assert isinstance(node, Function)
        return node

    @property
    def key(self) -> str:
        """The function's path, line and name, which are unique in the folder."""
        return f"{self.path}:{self.line}:{self.name}"


def functions_of(folder: Path, counts: Counter[str]) -> Iterator[FoundFunction]:
    """Yield all functions and methods of 3 to 80 lines, file by file in the order of their paths.

    A project is an entry of the folder. `counts` collects the numbers of files and functions, and the number
    left out for each reason.

    Raises:
        IncoderError: the folder does not exist, or has no Python file.
    """
    if not folder.is_dir():
        raise IncoderError(f"{folder} is not a folder; give one with Python files")
    paths = sorted(path for path in folder.rglob("*.py") if path.is_file() and not path.is_symlink())
    if not paths:
        raise IncoderError(f"there are no Python files in {folder}")
    seen = set[bytes]()
    for path in paths:
        source = _read(path, counts)
        if source is None:
            continue
        relative = path.relative_to(folder)
        for named in source.definitions:
            if not isinstance(named.node, Function):
                continue
            text = textwrap.dedent(source.text[slice(*source.span(named))])
            digest = hashlib.sha256(" ".join(text.split()).encode("utf-8", "surrogateescape")).digest()
            if not _MIN_LINES <= text.count("\n") <= _MAX_LINES:
                counts["functions that are too short or too long"] += 1
            elif digest in seen:
                counts["copies of functions"] += 1
            elif (own := _parsed(text)) is None:
                counts["functions that do not stand alone"] += 1
            else:
                seen.add(digest)
                counts["functions"] += 1
                yield FoundFunction(
                    relative.parts[0], relative.as_posix(), named.name, named.node.lineno, own
                )


def _read(path: Path, counts: Counter[str]) -> PythonSource | None:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            counts["files that are too large"] += 1
            return None
        source = PythonSource(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        counts["files that cannot be read"] += 1
        return None
    except IncoderError:
        counts["files that do not parse"] += 1
        return None
    counts["files"] += 1
    return source


def _parsed(text: str) -> PythonSource | None:
    try:
        source = PythonSource(text)
    except IncoderError:
        return None
    return source if len(source.tree.body) == 1 and isinstance(source.tree.body[0], Function) else None


def is_method_stub(function: Function) -> bool:
    """Whether the body of a function is only `pass`, `...` or a `raise`."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return all(
        isinstance(statement, ast.Pass | ast.Raise)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in body
    )
