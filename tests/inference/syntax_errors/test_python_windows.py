"""Windows of Python files: what parses in a window parses in its file, and the other way round."""

import random
from pathlib import Path

import pytest

import incoder
from incoder.inference.syntax_errors.filled_text import FilledText
from incoder.inference.syntax_errors.python_windows import WINDOWS, parses, parsing, window

SOURCES = sorted(Path(incoder.__file__).parent.rglob("*.py"))
LONG_LINES = "".join(f"x{number} = {number}\n" for number in range(1000))


def corrupted(line: str, rng: random.Random) -> str:
    """The line with a typical mistake of a model."""
    changes = [
        line.replace(":", "", 1),
        line.replace(")", "", 1),
        line.replace("(", "", 1),
        "    " + line,
        line.removeprefix("    "),
        line[: len(line) // 2],
        line + "else:\n",
        line.rstrip("\n") + ")\n",
        line.rstrip("\n") + '"\n',
    ]
    return rng.choice(changes)


@pytest.mark.parametrize("seed", range(40))
def test_a_window_decides_as_the_whole_file_does(seed: int) -> None:
    rng = random.Random(seed)
    text = rng.choice(SOURCES).read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    first = rng.randrange(len(lines))
    last = min(len(lines), first + rng.choice([1, 1, 3]))
    around = ("".join(lines[:first]), "".join(lines[last:]))
    gold = "".join(lines[first:last])
    texts = [FilledText(around, (infill,)) for infill in (gold, corrupted(gold, rng), corrupted(gold, rng))]
    found = parsing(texts)
    assert found is None or found == [parses(one.text) for one in texts]


def test_most_windows_decide() -> None:
    rng, num_undecided = random.Random(1), 0
    for _ in range(60):
        lines = rng.choice(SOURCES).read_text(encoding="utf-8").splitlines(keepends=True)
        hole = rng.randrange(len(lines))
        around = ("".join(lines[:hole]), "".join(lines[hole + 1 :]))
        num_undecided += parsing([FilledText(around, (lines[hole],))]) is None
    assert num_undecided <= 6


def test_a_window_of_a_long_file_is_short() -> None:
    found = window(FilledText((LONG_LINES, LONG_LINES), ("y = 1\n",)), 0, WINDOWS[0])
    assert found is not None
    assert found.count("\n") == 2 * WINDOWS[0] + 1


def test_a_method_is_read_without_the_class_before_it() -> None:
    before = "class A:\n" + "".join(f"    def f{n}(self):\n        pass\n\n" for n in range(300))
    texts = [
        FilledText((before + "    def g(self):\n", "\n" + LONG_LINES), (infill,))
        for infill in ("        return 1\n", "        return (1\n", "    return 1\n", "return 1\n")
    ]
    assert parsing(texts) == [True, False, False, False]


def test_an_infill_may_leave_the_block_that_its_window_begins_in() -> None:
    before = "if x:\n    for y in z:\n" + "        y()\n" * 500
    texts = [
        FilledText((before, "w()\n"), (infill,))
        for infill in ("    else:\n        z()\n", "  else:\n    z()\n")
    ]
    assert parsing(texts) == [True, False]


def test_an_else_needs_a_block_that_can_have_one() -> None:
    before = "class A:\n" + "    x = 1\n" * 500
    texts = [FilledText((before, ""), (infill,)) for infill in ("    y = 1\n", "else:\n    y = 1\n")]
    assert parsing(texts) == [True, False]


def test_a_hole_in_a_long_string_is_text() -> None:
    before = f'"""Usage:\n{LONG_LINES[:3000]}'
    texts = [FilledText((before, '\n"""\nx = 1\n'), (infill,)) for infill in ("(some prose", "y = 1")]
    assert parsing(texts) in (None, [True, True])


def test_warnings_of_python_are_not_shown(recwarn: pytest.WarningsRecorder) -> None:
    assert parses('x = "\\d"\n')
    assert not recwarn.list
