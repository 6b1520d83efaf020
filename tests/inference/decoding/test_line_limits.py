"""`lines` of a request: an infill of one line, or of the block that begins at the hole."""

import pytest

from incoder.inference.decoding.stopping_rules.hole import Hole
from incoder.inference.decoding.stopping_rules.line_limits import begins_block
from incoder.inference.decoding.stopping_rules.stopping import StoppingRules
from incoder.inference.syntax.languages import syntax_of
from incoder.request_settings import LinesWanted


def kept(path: str, prefix: str, written: str, suffix: str, lines: LinesWanted) -> str:
    """What is left of an infill that comes byte by byte; nothing that was committed is taken back."""
    stopping = StoppingRules(prefix.encode(), suffix.encode(), (), syntax_of(path), lines=lines)
    data, committed = written.encode(), 0
    for end in range(1, len(data) + 1):
        place = stopping.cut(data[:end])
        if place is not None:
            assert committed <= place
            return data[:place].decode()
        committed = max(committed, stopping.num_committed(data[:end]))
    place = stopping.cut_at_end(data)
    assert place is None or committed <= place
    return data[:place].decode()


@pytest.mark.parametrize(
    ("prefix", "written", "suffix", "expected"),
    [
        ("x = ", "1\ny = 2\n", "\n", "1"),
        ("def f():", "\n    return 1\n", "\n", "\n    return 1"),  # a blank line is none
        ("", "  \n\nx\ny", "", "  \n\nx"),
        ("x = ", "1", "", "1"),
        ("print(", "x, y", ")\n", "x, y"),
    ],
)
def test_one_line_ends_at_its_end(prefix: str, written: str, suffix: str, expected: str) -> None:
    assert kept("a.py", prefix, written, suffix, "one") == expected


BLOCKS = {
    "the body of a function": (
        "a.py",
        "def f(x):\n    ",
        "y = x\n    return y\n\n\ndef g():\n",
        "\n",
        "y = x\n    return y",
    ),
    "a body after its colon": (
        "a.py",
        "def f(x):",
        "\n    y = x\n    return y\n\nz = 1",
        "",
        "\n    y = x\n    return y",
    ),
    "inner blocks": (
        "a.py",
        "def f(x):\n    ",
        "if x:\n        return 1\n    return 2\nprint(f(1))\n",
        "",
        "if x:\n        return 1\n    return 2",
    ),
    "text in a string": (
        "a.py",
        "def f():\n    ",
        'x = """\na\n"""\n    return x\ny',
        "",
        'x = """\na\n"""\n    return x',
    ),
    "a statement": ("a.py", "x = ", "f(\n    1,\n)\ny = 2\n", "\n", "f(\n    1,\n)"),
    "braces that the text closes": (
        "a.js",
        "function f() {\n  ",
        "a();\n  b();\n}\ng();\n",
        "\n}\n",
        "a();\n  b();",
    ),
    "braces that it does not close": ("a.js", "function f() {\n  ", "a();\n}\ng();\n", "", "a();\n}"),
    "braces after their brace": ("a.js", "function f() {", "\n  a();\n}\ng();\n", "", "\n  a();\n}"),
    "else on the line of a brace": (
        "a.js",
        "if (x) {",
        "\n  a();\n} else {\n  b();\n}\nc();\n",
        "",
        "\n  a();\n} else {\n  b();\n}",
    ),
    "a word that ends the block": ("a.rb", "def f\n  ", "a\n  b\nend\nc\n", "", "a\n  b\nend"),
    "a name that begins like such a word": ("a.rb", "def f\n  ", "a\nending = 1\n", "", "a"),
    "all of it": ("a.py", "for x in y:\n    ", "print(x)\n", "", "print(x)\n"),
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_block_ends_where_it_ends(kind: str) -> None:
    path, prefix, written, suffix, expected = BLOCKS[kind]
    assert kept(path, prefix, written, suffix, "block") == expected


@pytest.mark.parametrize(
    ("path", "prefix", "suffix", "is_block"),
    [
        ("a.py", "def f():\n    ", "\n", True),
        ("a.py", "def f():  # why\n    ", "\n", True),
        ("a.py", "def f():", "\n", True),
        ("a.py", "x = [\n    ", "\n]\n", True),
        ("a.js", "function f() {\n  ", "\n}\n", True),
        ("a.js", "if (x) {", "\n}\n", True),
        ("a.rb", "def f\n  ", "\nend\n", True),
        ("a.py", "x = ", "\n", False),
        ("a.py", "x = 1\n", "y = 2\n", False),
        ("a.py", "def f(", "):\n    return 1\n", False),
        ("a.py", "d = {'a':", " 1}\n", False),
        ("a.py", "# note:\n# ", "\n", False),
        ("a.py", 'x = """a:\n    ', '\n"""\n', False),
        ("a.py", "", "\n", False),
    ],
)
def test_auto_is_a_block_where_one_begins_and_else_one_line(
    path: str, prefix: str, suffix: str, is_block: bool
) -> None:
    assert begins_block(Hole(prefix.encode(), suffix.encode(), syntax_of(path))) == is_block
    written = "a\n" + " " * 40 + "b"
    wanted: LinesWanted = "block" if is_block else "one"
    assert kept(path, prefix, written, suffix, "auto") == kept(path, prefix, written, suffix, wanted)
    assert kept(path, prefix, written, suffix, "auto") == (written if is_block else "a")
