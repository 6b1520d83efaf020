"""The declarations of names that a file imports from others of its workspace.

Knows the imports of Python, JavaScript and TypeScript. Texts and paths in, texts out; reads no file.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath

_MAX_IMPORTS = 40
_MAX_BODY_LINES = 12  # of a declaration
_SCRIPTS = (".ts", ".tsx", ".mts", ".js", ".jsx", ".mjs")

_PYTHON = re.compile(
    r"^[ \t]*from[ \t]+(?P<module>\.*[\w.]*)[ \t]+import[ \t]+(?:\((?P<many>[^)]*)\)|(?P<names>[^\n#(]+))",
    re.MULTILINE,
)
_SCRIPT = re.compile(
    r"^[ \t]*(?:import|export)\b[^'\";]*?\{(?P<names>[^}]*)\}[ \t]*from[ \t]*['\"](?P<module>\.[^'\"]*)['\"]",
    re.MULTILINE,
)
_RENAMED = re.compile(r"\s+as\s+.*", re.DOTALL)
_HEADER = r"^(?P<indentation>[ \t]*)(?:async[ \t]+)?(?:def|class)[ \t]+{name}\b"
_EXPORTED = (
    r"^(?:export[ \t]+)?(?:default[ \t]+)?(?:declare[ \t]+)?(?:abstract[ \t]+)?(?:async[ \t]+)?"
    r"(?:function\*?|class|interface|type|enum|const|let|var)[ \t]+{name}\b"
)
_METHOD = re.compile(r"(?:async[ \t]+)?def[ \t]+\w+")


@dataclass(frozen=True, slots=True)
class Import:
    """Names that are imported from a module, as it is written: `.shapes`, `app.shapes`, `./shapes`."""

    module: str
    names: tuple[str, ...]


def imports_of(text: str, path: PurePath) -> list[Import]:
    """Return the imports of a file's text whose declarations may be in its workspace, at most 40.

    >>> imports_of("from .shapes import Circle as C, area\\n", PurePath("app/main.py"))
    [Import(module='.shapes', names=('Circle', 'area'))]
    """
    pattern = {".py": _PYTHON, ".pyi": _PYTHON, **dict.fromkeys(_SCRIPTS, _SCRIPT)}.get(path.suffix.lower())
    found = []
    for match in pattern.finditer(text) if pattern is not None else ():
        listed = match.groupdict().get("many") or match["names"]
        names = [_RENAMED.sub("", name.partition("#")[0]).strip() for name in re.split(r"[,\n]", listed)]
        names = [name.removeprefix("type ") for name in names if re.fullmatch(r"(?:type )?[^\W\d]\w*", name)]
        if names:
            found.append(Import(match["module"], tuple(dict.fromkeys(names))))
    return found[:_MAX_IMPORTS]


def file_of(imported: Import, path: PurePosixPath, files: Collection[str]) -> str | None:
    """Return the workspace's file that an import names; None if there is none, or more than one.

    `path` is the importing file's path within the workspace, and `files` the paths of all files.

    >>> file_of(Import(".shapes", ("area",)), PurePosixPath("app/main.py"), {"app/shapes.py"})
    'app/shapes.py'
    """
    if path.suffix.lower() in _SCRIPTS:
        base = _normal(path.parent / imported.module)
        names = [f"{base}{suffix}" for suffix in ("", *_SCRIPTS)]
        names += [f"{base}/index{suffix}" for suffix in _SCRIPTS]
        return next((name for name in names if name in files), None)
    module = imported.module.lstrip(".")
    num_dots = len(imported.module) - len(module)
    below = module.replace(".", "/")
    if num_dots:
        folder = path.parent
        for _ in range(num_dots - 1):
            folder = folder.parent
        base = _normal(folder / below) if below else str(folder)
        return next((name for name in (f"{base}.py", f"{base}/__init__.py") if name in files), None)
    for ending in (f"{below}.py", f"{below}/__init__.py"):
        found = [name for name in files if name == ending or name.endswith(f"/{ending}")]
        if len(found) == 1:
            return found[0]
        if found:
            return None
    return None


def declarations(text: str, names: Sequence[str], path: PurePath) -> str:
    """Return the declarations of some names in a file: headers, and the headers of a class's methods.

    >>> declarations("def area(r):\\n    return r * r\\n\\nX = 1\\n", ["area"], PurePath("shapes.py"))
    'def area(r):\\n'
    """
    lines = text.splitlines(keepends=True)
    found = _of_python if path.suffix.lower() in (".py", ".pyi") else _of_script
    return "".join(line for name in names for line in found(lines, name))


def _of_python(lines: Sequence[str], name: str) -> Iterator[str]:
    header = re.compile(_HEADER.format(name=re.escape(name)))
    for number, line in enumerate(lines):
        if (match := header.match(line)) and not match["indentation"]:
            end = _header_end(lines, number)
            yield from lines[number:end]
            if line.startswith("class"):
                yield from _methods(lines, end)
            return


def _methods(lines: Sequence[str], start: int) -> Iterator[str]:
    """Yield the headers of a class's methods that are part of its interface."""
    num_left = _MAX_BODY_LINES
    for number in range(start, len(lines)):
        line = lines[number]
        if line.strip() and not line[0].isspace():
            return
        is_method = _METHOD.match(line.strip()) and "def _" not in line.replace("def __init__", "def init")
        if is_method and num_left:
            end = _header_end(lines, number)
            yield from lines[number:end]
            num_left -= 1


def _header_end(lines: Sequence[str], start: int) -> int:
    """Return the number after the line on which a header ends."""
    for number in range(start, min(start + _MAX_BODY_LINES, len(lines))):
        if re.search(r":\s*(?:#.*)?$", lines[number]):
            return number + 1
    return start + 1


def _of_script(lines: Sequence[str], name: str) -> Iterator[str]:
    header = re.compile(_EXPORTED.format(name=re.escape(name)))
    for number, line in enumerate(lines):
        if header.match(line):
            yield line
            if re.match(r".*\b(?:interface|type|enum)\b", line) and line.rstrip().endswith("{"):
                for following in lines[number + 1 : number + 1 + _MAX_BODY_LINES]:
                    yield following
                    if following.startswith("}"):
                        return
            return


def _normal(path: PurePosixPath) -> str:
    """Return a path without `.` and `..`, as far as its folders reach."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
