from pathlib import Path

import pytest

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.listing import list_files
from incoder.corpus.sources.packages import normalised
from incoder.corpus.sources.source_file import DroppedProject, SourceFile
from incoder.errors import IncoderError


def install(folder: Path, name: str, licence: str | None, *files: str, record: bool = True) -> None:
    """What an installer leaves behind: the files and their metadata."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0"]
    (info / "METADATA").write_text(
        "\n".join([*lines, *([f"License-Expression: {licence}"] if licence else [])])
    )
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("x = 1\n")
    if record:
        (info / "RECORD").write_text("".join(f"{file},,6\n" for file in files))


def list_all(folder: Path, report: Report | None = None, **source: object) -> list[SourceFile]:
    recipe = CorpusRecipe.model_validate({"sources": [{"kind": "packages", "path": str(folder), **source}]})
    return list(list_files(recipe, (report or Report()).on_drop))


def test_permissive_packages_give_their_python_files(tmp_path: Path) -> None:
    install(tmp_path, "My.Package", "MIT", "my/b.py", "my/a.py", "my/data.json", "../../bin/tool.py")
    assert list_all(tmp_path) == [
        SourceFile("my-package", path, "package", tmp_path / path, 6, "MIT", "1.0")
        for path in ("my/a.py", "my/b.py")
    ]


def test_other_packages_are_left_out_with_the_reason(tmp_path: Path) -> None:
    install(tmp_path, "copyleft", "GPL-3.0-only", "c.py")
    install(tmp_path, "mystery", None, "m.py")
    install(tmp_path, "listless", "MIT", "l.py", record=False)
    report = Report()
    assert list_all(tmp_path, report) == []
    assert report.dropped_projects == [
        DroppedProject("copyleft", "1.0", "GPL-3.0-only", "licence not allowed"),
        DroppedProject("listless", "1.0", "MIT", "no list of its files"),
        DroppedProject("mystery", "1.0", None, "unknown licence"),
    ]


def test_names_choose_packages_however_they_are_spelled(tmp_path: Path) -> None:
    install(tmp_path, "one_thing", "MIT", "one.py")
    install(tmp_path, "two", "MIT", "two.py")
    assert [file.path for file in list_all(tmp_path, names=["One.Thing"])] == ["one.py"]


def test_a_name_that_is_not_installed_is_an_error(tmp_path: Path) -> None:
    install(tmp_path, "one", "MIT", "one.py")
    with pytest.raises(IncoderError, match=r"not installed in .*: three, two"):
        list_all(tmp_path, names=["one", "two", "three"])


def test_what_an_uninstall_left_behind_is_passed_over(tmp_path: Path) -> None:
    install(tmp_path, "one", "MIT", "one.py")
    (tmp_path / "gone-1.0.dist-info").mkdir()
    assert [file.path for file in list_all(tmp_path)] == ["one.py"]


def test_the_running_environment_is_the_default() -> None:
    recipe = CorpusRecipe.model_validate({"sources": [{"kind": "packages", "names": ["pytest"]}]})
    assert "_pytest/fixtures.py" in {file.path for file in list_files(recipe, Report().on_drop)}


def test_names_are_normalised_as_the_standard_says() -> None:
    assert normalised("Foo.Bar__baz-x") == "foo-bar-baz-x"
