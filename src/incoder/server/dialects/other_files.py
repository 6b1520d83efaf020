"""Other files that a client sends with a hole: named chunks, often several of one file."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePath

UNNAMED = "tmp"  # llama.cpp's name for a chunk that has none


def by_name(chunks: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the chunks by name in their order, each with a name of its own; blank ones are left out.

    A later chunk of a file does not change an earlier one, so that its keys and values stay in the cache.

    >>> by_name([("a.py", "x = 1"), ("b.py", "y"), ("a.py", "z")])
    {'a.py': 'x = 1', 'b.py': 'y', 'a (2).py': 'z'}
    """
    found: dict[str, str] = {}
    seen = Counter[str]()
    for name, text in chunks:
        if not text.strip():
            continue
        path = PurePath(_one_line(name) or UNNAMED)
        unique = path.as_posix()
        while unique in found:
            seen[path.as_posix()] += 1
            number = seen[path.as_posix()] + 1
            unique = path.with_name(f"{path.stem} ({number}){path.suffix}").as_posix()
        found[unique] = text
    return found


def path_like(files: Mapping[str, str]) -> PurePath | None:
    """Return a path with the most frequent extension of these files, for a text whose path is not known.

    >>> path_like({"a.py": "", "b.c": "", "c.py": ""})
    PurePosixPath('untitled.py')
    """
    if not files:
        return None
    suffixes = Counter(PurePath(name).suffix for name in files)
    return PurePath(f"untitled{suffixes.most_common(1)[0][0]}")


def _one_line(name: str) -> str:
    """A file's name as it can be shown before its text: without line ends and NULs, and with a last part."""
    cleaned = " ".join(name.replace("\0", " ").split())
    return cleaned if PurePath(cleaned).name else ""
