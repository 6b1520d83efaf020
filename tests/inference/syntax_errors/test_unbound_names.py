"""Names that are used around a hole and bound nowhere."""

import time

import pytest

from incoder.inference.syntax_errors.filled_text import FilledText
from incoder.inference.syntax_errors.unbound_names import num_unbound_names

LONG = "def f(x):\n    return x\n\n\n" * 500


@pytest.mark.parametrize(
    ("prefix", "infill", "suffix", "expected"),
    [
        ("def f(x):\n    return ", "x", "\n", 0),
        ("def f(x):\n    return ", "y", "\n", 1),
        ("def f(x):\n    return ", "len(x) + __name__", "\n", 0),
        ("def f(xs):\n", "    for i in xs:\n", "        print(i)\n", 0),
        ("def f(xs):\n", "    for j in xs:\n", "        print(i)\n", 1),
        ("def g():\n    i = 1\n\n\ndef f(xs):\n", "    for j in xs:\n", "        print(i)\n", 1),
        ("import os\n", "x = os.path\n", "", 0),
        ("from os import *\n", "x = path\n", "", 0),
        ("def f():\n    x = 1\n    def g():\n        return ", "x", "\n", 0),
        ("def f():\n    global x\n    x = 1\n\n\n", "print(x)\n", "", 0),
        ("class A:\n    def f(self, xs):\n        return [", "x for x in xs", "]\n", 0),
        ("class A:\n    def f(self, xs):\n        return [", "y for x in xs", "]\n", 1),
        ("def f(x):\n    return ", "y", "\nz = (\n", 0),
        ("def f(x):\n    return ", "y(", "\n", 0),
        ("def f(x):\n    return ", "\udcff", "\n", 0),
    ],
)
def test_a_name_is_counted_if_no_scope_binds_it(prefix: str, infill: str, suffix: str, expected: int) -> None:
    assert num_unbound_names([FilledText((prefix, suffix), (infill,))]) == [expected]


def test_names_far_away_count_as_bound() -> None:
    text = FilledText(("far = 1\n" + LONG, LONG + "later = 2\n"), ("y = far + later + nowhere\n",))
    assert num_unbound_names([text]) == [1]


def test_a_window_inside_a_function_knows_its_parameters() -> None:
    body = "".join(f"    y{number} = x\n" for number in range(200))
    text = FilledText((f"def f(x):\n{body}", body), ("    z = x + w\n",))
    assert num_unbound_names([text]) == [1]


def test_a_long_file_takes_few_milliseconds() -> None:
    texts = [FilledText((LONG, LONG), (f"y = f({number})\n",)) for number in range(5)]
    started = time.process_time()
    assert num_unbound_names(texts) == [0] * 5
    assert time.process_time() - started < 0.25
