"""What a command may replace in its output folder: files that it wrote there itself, and no others."""

import json
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from incoder.errors import IncoderError


def written_with(path: Path, key: str) -> bool:
    """Whether a file is JSON with a key that only a command of ours writes."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and key in content


def refuse_foreign(folder: Path, patterns: Iterable[str], ours: Collection[str] = ()) -> None:
    """Raise if an entry of `folder` that matches one of the patterns is not one of `ours`.

    The patterns are names, in which `*` stands for anything. A missing folder holds nothing.

    Raises:
        IncoderError: an entry of somebody else has such a name; the message gives it.
    """
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for pattern in patterns:
        for name in names:
            if fnmatchcase(name, pattern) and name not in ours:
                raise IncoderError(
                    f"{folder} holds {name}, which would be replaced and is not of an earlier run; "
                    "move it away, or name another --output"
                )
