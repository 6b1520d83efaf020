"""IPython's syntax becomes comments, and Python stays."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.notebooks.magics import commented_magics


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("%matplotlib inline\nx = 1", "# %matplotlib inline\nx = 1"),
        ("!pip install a \\\n    b\nx = 1", "# !pip install a \\\n    # b\nx = 1"),
        ("if x:\n    %time f()\n", "if x:\n    pass  # %time f()\n"),
        ("print?", "# print?"),
        ("np.*load*?\n?print\nobj??", "# np.*load*?\n# ?print\n# obj??"),
        ("files = !ls\na.b, c[0] = %time f()", "# files = !ls\n# a.b, c[0] = %time f()"),
        ("%%time\nx = 1\n!ls", "# %%time\nx = 1\n# !ls"),
        ("\n\n%%bash\nls 'x\n  y", "\n\n# %%bash\n# ls 'x\n  # y"),
        ("x = 1\n%%bash", "x = 1\n# %%bash"),
        ("!echo \"it's\n%who", "# !echo \"it's\n# %who"),
    ],
)
def test_magic_commands_and_questions_are_commented(cell: str, expected: str) -> None:
    assert commented_magics(cell) == expected


@pytest.mark.parametrize(
    "cell",
    [
        "x = (7\n  % 4)",
        "x = 7 \\\n  % 4",
        's = """\n%not\n!this\n"""',
        "x %= 3",
        "x != 3",
        "x == y",
        's = "a = !b"',
        "f(a, b='!c')",
        "# what?",
        'ok = "what?"',
        "d = {\n  # it's\n  1: 2\n  % 3}",
        "",
        "\n",
    ],
)
def test_python_is_left_alone(cell: str) -> None:
    assert commented_magics(cell) == cell


LINES = [
    "x = (1",
    "% 2)",
    "if x:",
    "    !ls",
    "%who",
    "s = '''",
    "'''",
    "# don't",
    "!a \\",
    "print?",
    "",
    "y = 1",
]


@given(lines=st.lists(st.sampled_from(LINES)))
def test_as_many_lines_remain_and_nothing_of_a_line_is_lost(lines: list[str]) -> None:
    found = commented_magics("\n".join(lines)).split("\n")
    for line, new in zip(lines, found if lines else [], strict=True):
        assert new == line or re.fullmatch(r"\s*(pass  )?# " + re.escape(line.lstrip()), new)


def test_a_cell_of_magic_lines_parses() -> None:
    cell = "%pip install a\nif x:\n    !ls \\\n      -l\nfor f in y:\n    names = !ls\n    print(names)\nx?\n"
    ast.parse(commented_magics(cell))


def test_many_magic_lines_are_scanned_once() -> None:
    """A scan of all that came before for each of these lines would take hours."""
    cell = "x = ('a')\n%who\n" * 50_000
    assert commented_magics(cell).count("# %who") == 50_000
