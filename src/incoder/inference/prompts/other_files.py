"""Other files of a repository in the prompt: the part that fits, as comments if the model has no format.

Texts in, texts out; knows no tokens. The shown part does not depend on the text with the hole, so it stays
the same between two keystrokes.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from pathlib import PurePath

from incoder.comments import commented


def fitting(
    files: Mapping[str, str], budget: int, cost: Callable[[Mapping[str, str]], int]
) -> dict[str, str]:
    """Return the last files whose cost is at most `budget`, and the first lines of the one before them.

    >>> fitting({"a.py": "x = 1\\ny = 2\\n", "b.py": "z\\n"}, 8, lambda files: len("".join(files.values())))
    {'a.py': 'x = 1\\n', 'b.py': 'z\\n'}
    """
    shown: dict[str, str] = {}
    for name, text in reversed([*files.items()]):
        if cost({name: text, **shown}) <= budget:
            shown = {name: text, **shown}
            continue
        lines = text.splitlines(keepends=True)
        beginnings = ["".join(lines[:num_lines]) for num_lines in range(1, len(lines))]
        num_fitting = bisect_right(beginnings, budget, key=lambda start: cost({name: start, **shown}))
        if num_fitting:
            shown = {name: beginnings[num_fitting - 1], **shown}
        break
    return shown


def as_comments(files: Mapping[str, str], path: PurePath) -> str:
    """Return the files as comments in the language of `path`: each one's name, its lines, a blank line.

    >>> as_comments({"b.py": "y = 2\\n"}, PurePath("a.py"))
    '# b.py\\n# y = 2\\n\\n'
    """
    return "".join(
        "".join(f"{line}\n" for line in commented([name, *text.splitlines()], path)) + "\n"
        for name, text in files.items()
    )
