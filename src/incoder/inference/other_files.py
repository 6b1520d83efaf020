"""Other files of a repository as comments before a text, for models that know no layout for them.

Texts in, a text out; knows no tokens. Whole files, so that what is shown stays put between two keystrokes.
"""

from collections.abc import Mapping
from pathlib import PurePath

from incoder.comments import commented


def as_comments(files: Mapping[str, str], path: PurePath) -> str:
    """The files as comments in the language of `path`: the name of each, its lines, and a blank line."""
    return "".join(
        "".join(f"{line}\n" for line in commented([name, *text.splitlines()], path)) + "\n"
        for name, text in files.items()
    )
