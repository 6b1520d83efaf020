"""Other files of a repository before a text: the part that fits, and as comments if the model has no format.

Texts in, texts out; knows no tokens. What fits does not depend on the text, so that what is shown stays put
between two keystrokes.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from pathlib import PurePath

from incoder.comments import commented


def fitting(files: Mapping[str, str], room: int, cost: Callable[[Mapping[str, str]], int]) -> dict[str, str]:
    """The last files that together cost at most `room`, and the first lines of the one before them."""
    shown: dict[str, str] = {}
    for name, text in reversed([*files.items()]):
        if cost({name: text, **shown}) <= room:
            shown = {name: text, **shown}
            continue
        lines = text.splitlines(keepends=True)
        beginnings = ["".join(lines[:num_lines]) for num_lines in range(1, len(lines))]
        num_fitting = bisect_right(beginnings, room, key=lambda start: cost({name: start, **shown}))
        if num_fitting:
            shown = {name: beginnings[num_fitting - 1], **shown}
        break
    return shown


def as_comments(files: Mapping[str, str], path: PurePath) -> str:
    """The files as comments in the language of `path`: the name of each, its lines, and a blank line."""
    return "".join(
        "".join(f"{line}\n" for line in commented([name, *text.splitlines()], path)) + "\n"
        for name, text in files.items()
    )
