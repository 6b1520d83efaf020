"""Which files a command works on, from the names that a user gives."""

import subprocess
from pathlib import Path, PurePath

import pytest
import typer

from incoder.cli.file_list import find_files


def is_python(path: PurePath) -> bool:
    return path.suffix == ".py"


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True)


def found(folder: Path) -> list[str]:
    return [str(Path(path).relative_to(folder)) for path in find_files([str(folder)], is_python).paths]


def test_a_file_that_is_named_counts_whatever_it_is(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", ".hidden.py")
    names = [str(tmp_path / name) for name in ("a.txt", ".hidden.py", "missing.py")]
    files = find_files(names, is_python)
    assert (list(files.paths), files.is_one) == (names, False)
    assert find_files(names[:1], is_python).is_one


def test_a_folder_means_its_matching_files_that_are_not_hidden(tmp_path: Path) -> None:
    make(tmp_path, "b.py", "a.py", "a.txt", "in/c.py", ".hidden/d.py", ".e.py", "__pycache__/f.py")
    make(tmp_path, "environment/pyvenv.cfg", "environment/lib/g.py", "node_modules/h/h.py")
    assert found(tmp_path) == ["a.py", "b.py", "in/c.py"]


def test_of_a_checkout_count_tracked_files_and_new_ones_that_are_not_ignored(tmp_path: Path) -> None:
    git(tmp_path, "init")
    make(
        tmp_path, "tracked.py", ".tools/tracked.py", "deleted.py", "new.py", "ignored.py", "in/new.py", "é.py"
    )
    make(tmp_path, ".hidden/new.py", "environment/pyvenv.cfg", "environment/lib/new.py")
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    git(tmp_path, "add", "tracked.py", ".tools", "deleted.py", ".gitignore")
    (tmp_path / "deleted.py").unlink()
    assert found(tmp_path) == [".tools/tracked.py", "in/new.py", "new.py", "tracked.py", "é.py"]
    assert found(tmp_path / "in") == ["new.py"]


def test_an_ignored_folder_that_is_named_counts_as_any_other(tmp_path: Path) -> None:
    git(tmp_path, "init")
    make(tmp_path, "build/a.py", "b.py")
    (tmp_path / ".gitignore").write_text("build/\n")
    assert found(tmp_path) == ["b.py"]
    assert found(tmp_path / "build") == ["a.py"]


def test_another_checkout_in_the_environment_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init")
    make(tmp_path, "a.py")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert found(tmp_path) == ["a.py"]


def test_the_settings_of_a_checkout_run_nothing(tmp_path: Path) -> None:
    git(tmp_path, "init")
    make(tmp_path, "a.py")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "config", "core.fsmonitor", f"touch {tmp_path / 'ran'}; false")
    assert found(tmp_path) == ["a.py"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("is_checkout", [True, False])
def test_links_in_a_folder_are_left_out(tmp_path: Path, is_checkout: bool) -> None:
    make(tmp_path, "outside/a.py", "folder/b.py")
    folder = tmp_path / "folder"
    (folder / "link.py").symlink_to(tmp_path / "outside" / "a.py")
    (folder / "links").symlink_to(tmp_path / "outside")
    (folder / "dangling.py").symlink_to(tmp_path / "nowhere.py")
    if is_checkout:
        git(folder, "init")
        git(folder, "add", ".")
    assert found(folder) == ["b.py"]


def test_a_tracked_file_below_what_is_now_a_link_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, "outside/a.py", "folder/in/a.py")
    folder = tmp_path / "folder"
    git(folder, "init")
    git(folder, "add", ".")
    (folder / "in").rename(tmp_path / "moved")
    (folder / "in").symlink_to(tmp_path / "outside")
    assert found(folder) == []


def test_a_file_that_is_named_twice_is_edited_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.py", "b.py")
    (tmp_path / "link.py").symlink_to("a.py")
    monkeypatch.chdir(tmp_path)
    files = find_files(["b.py", ".", "./a.py", "link.py", str(tmp_path / "b.py")], is_python)
    assert files.paths == ("b.py", "a.py")


def test_a_folder_counts_as_several_files_even_if_it_has_one_or_none(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "none/a.txt")
    assert not find_files([str(tmp_path)], is_python).is_one
    assert find_files([str(tmp_path / "none")], is_python).paths == ()


def test_standard_input_must_be_named_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "-/a.py")
    assert find_files(["-"], is_python).paths == ("-",)
    with pytest.raises(typer.BadParameter, match="must be alone"):
        find_files(["a.py", "-"], is_python)
