"""Which language a file is taken to be written in: by its extension, as in the paper (section 3.1)."""

from pathlib import PurePosixPath

LANGUAGES = {
    ".py": "Python",
    ".pyi": "Python",
    ".pyw": "Python",
}


def extension_of(path: str) -> str:
    """The last extension of the file name, lower-cased, with its dot; empty where there is none."""
    return PurePosixPath(path).suffix.lower()
