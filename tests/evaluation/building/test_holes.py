"""Holes are cut out of files of any language, and what is around them is the file."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from incoder.corpus.text.languages import EXTENSIONS_OF
from incoder.errors import IncoderError
from incoder.evaluation.building.build import build
from incoder.evaluation.building.holes import FILE_BUILDERS
from incoder.evaluation.building.source_files import SourceText, source_files

LINES = [f"    total = add(total, item{number})\n" for number in range(90)]
TEXT = "".join([*LINES[:40], "\n", "    }\n", *LINES[40:], "    last line without an end"])


def rows_of(task: str, text: str, seed: int = 0) -> list[dict[str, str]]:
    return [dict(row) for row in FILE_BUILDERS[task](SourceText("a.py", "Python", text), Random(seed))]


@pytest.mark.parametrize("task", FILE_BUILDERS)
@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n"), TEXT.replace("add", "größe漢🙂")])
def test_prefix_hole_and_suffix_are_the_file(task: str, text: str) -> None:
    rows = rows_of(task, text)
    # One for every 40 lines, and one; of several lines fewer where two would share one.
    assert len(rows) == 3 or (task == "multi-line" and 1 <= len(rows) < 3)
    for row in rows:
        assert row["prefix"] + row["middle"] + row["suffix"] == text
        assert row["middle"].strip()
    assert rows == rows_of(task, text) != rows_of(task, text, seed=1)


def test_a_single_line_is_whole_and_says_something() -> None:
    for seed in range(50):
        for row in rows_of("single-line", TEXT, seed):
            assert row["middle"] in LINES
            assert row["prefix"] == "" or row["prefix"].endswith("\n")


def test_a_hole_inside_a_line_leaves_some_of_it_on_both_sides() -> None:
    for seed in range(50):
        for row in rows_of("mid-line", TEXT, seed):
            assert "\n" not in row["middle"]
            assert len(row["middle"]) >= 3
            assert row["prefix"].rpartition("\n")[2].strip()
            assert row["suffix"].partition("\n")[0].strip()


def test_several_lines_are_two_to_eight_that_no_other_hole_has() -> None:
    for seed in range(50):
        rows = rows_of("multi-line", TEXT, seed)
        assert all(2 <= row["middle"].count("\n") <= 8 and row["middle"].endswith("\n") for row in rows)
        ends = [(len(row["prefix"]), len(row["prefix"] + row["middle"])) for row in rows]
        assert all(end <= start for (_, end), (start, _) in pairwise(ends))


@pytest.mark.parametrize("task", FILE_BUILDERS)
@pytest.mark.parametrize("text", ["", "\n\n", "}\n)\n", "x", "a\rb\rc\r", "x" * 500 + "\n"])
def test_files_that_say_nothing_make_no_rows(task: str, text: str) -> None:
    assert rows_of(task, text) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "code"
    (root / ".git").mkdir(parents=True)
    (root / ".git/hook.py").write_text(TEXT)
    for language, extensions in EXTENSIONS_OF.items():
        if language != "Jupyter":
            (root / f"file{extensions.split()[0]}").write_text(f"{language} {TEXT}")
    (root / "copy.py").write_text(f"Python {TEXT}")
    (root / "latin.py").write_bytes(b"gr\xf6\xdfe = 1\n")
    (root / "large.py").write_text("x" * 300_000)
    (root / "objective.m").write_text("@interface Foo\n@end\n")
    (root / "notes.txt").write_text(TEXT)
    (root / "link.py").symlink_to(root / "copy.py")
    return root


def test_files_of_all_languages_are_read_and_others_counted(folder: Path) -> None:
    counts = Counter[str]()
    found = list(source_files(folder, counts))
    assert {source.language for source in found} == {*EXTENSIONS_OF} - {"Jupyter"}
    assert counts == {
        "files": 27,
        "copies of files": 1,
        "files that cannot be read": 1,
        "files that are too large": 1,
        "files of other languages": 1,
    }


def test_the_same_folder_and_seed_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    built = [build("single-line", folder, tmp_path / str(number), limit=40) for number in range(2)]
    assert built[0].num_rows == 40
    assert built[0].path.read_bytes() == built[1].path.read_bytes()


def test_no_folder_and_no_source_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="is not a folder"):
        list(source_files(tmp_path / "none", Counter()))
    with pytest.raises(IncoderError, match="no files of the 28 languages"):
        list(source_files(tmp_path, Counter()))
