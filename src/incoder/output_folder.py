"""The rule for output folders: a command replaces only files that it wrote there itself."""

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from incoder.errors import IncoderError
from incoder.files import read_json


def json_of(path: Path) -> object:
    """Return the content of a JSON file, or None if there is no such file, or it is damaged.

    >>> json_of(Path("no-such-file.json")) is None
    True
    """
    try:
        return read_json(path)
    except IncoderError:
        return None


def written_with(path: Path, *keys: str) -> bool:
    """Whether a file is a JSON object with all of these keys, which together only our commands write.

    >>> written_with(Path("no-such-file.json"), "model")
    False
    """
    content = json_of(path)
    return isinstance(content, dict) and all(key in content for key in keys)


def refuse_foreign(folder: Path, patterns: Iterable[str], ours: Collection[str] = ()) -> None:
    """Raise if a folder has an entry that matches one of the patterns and is not in `ours`.

    The patterns are names, in which `*` matches anything. A missing folder has no entries.

    Raises:
        IncoderError: there is such an entry; the message names it.

    >>> refuse_foreign(Path("no-such-folder"), ["*.json"])
    """
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for pattern in patterns:
        for name in names:
            if fnmatchcase(name, pattern) and name not in ours:
                raise IncoderError(
                    f"{folder} holds {name}, which would be replaced and is not what an earlier run wrote; "
                    "move it away, or name another --output"
                )
