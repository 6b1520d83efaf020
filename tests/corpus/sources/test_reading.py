import os
from collections.abc import Callable
from pathlib import Path

import pytest

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.listing import list_files
from incoder.corpus.sources.reading import read_files

WriteFiles = Callable[..., Path]
MakeRecipe = Callable[..., CorpusRecipe]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a\0b", "binary"),
        (b"x = '\xff'", "not UTF-8"),
        (b"x" * 101, "too large"),
    ],
)
def test_what_is_no_text_is_dropped_with_the_reason(
    content: bytes, reason: str, write_files: WriteFiles, recipe: MakeRecipe
) -> None:
    write_files({"p/bad.py": content, "p/good.py": "x = 1\r\n"})
    report, settings = Report(), recipe(filters={"max_file_bytes": 100})
    documents = list(read_files(list_files(settings, report.on_drop), settings, report.on_drop))
    assert [document.text for document in documents] == ["x = 1\r\n"]
    assert {name: (count.num_files, count.num_bytes) for name, count in report.dropped.items()} == {
        reason: (1, len(content))
    }


def test_a_byte_order_mark_is_left_out(write_files: WriteFiles, recipe: MakeRecipe) -> None:
    write_files({"p/a.py": b"\xef\xbb\xbfx = 1\n"})
    (document,) = read_files(list_files(recipe(), print), recipe(), print)
    assert document.text == "x = 1\n"


@pytest.mark.parametrize("name", [b"line\nend.py", b"latin\xff.py"])
def test_names_that_cannot_be_written_are_dropped(
    name: bytes, write_files: WriteFiles, recipe: MakeRecipe
) -> None:
    root = write_files({"p/a.py": "x = 1\n"})
    (root / "p" / os.fsdecode(name)).write_text("x = 2\n")
    report = Report()
    documents = list(read_files(list_files(recipe(), report.on_drop), recipe(), report.on_drop))
    assert [document.path for document in documents] == ["p/a.py"]
    assert report.dropped["unprintable path"].num_files == 1


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000"])
def test_blanks_of_other_scripts_may_be_in_a_name(
    blank: str, write_files: WriteFiles, recipe: MakeRecipe
) -> None:
    write_files({f"p/a{blank}b.py": "x = 1\n"})
    (document,) = read_files(list_files(recipe(), print), recipe(), print)
    assert document.path == f"p/a{blank}b.py"


def test_a_file_that_is_gone_is_unreadable(write_files: WriteFiles, recipe: MakeRecipe) -> None:
    root: Path = write_files({"p/a.py": "x = 1\n"})
    report = Report()
    files = list(list_files(recipe(), report.on_drop))
    (root / "p" / "a.py").unlink()
    assert list(read_files(files, recipe(), report.on_drop)) == []
    assert report.dropped["unreadable"].num_files == 1
