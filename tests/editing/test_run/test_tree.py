"""The files of a tree that are copied, and the targets of its links."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from incoder.editing.test_run.tree import TreeCopy, copy_file, links_out_of
from incoder.errors import IncoderError


@pytest.fixture(params=["git", "plain"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("a = 1\n")
    (root / "check.py").write_text("import a\n")
    (root / ".venv").mkdir()
    (root / ".venv" / "marker").write_text("here")
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "a.pyc").touch()
    if request.param == "git":
        (root / ".gitignore").write_text(".venv\n__pycache__\n.gitignore\n")
        subprocess.run(["git", "init", "-q", root], check=True)
        subprocess.run(["git", "-C", root, "add", "check.py"], check=True)
    return root


def copied(tree: Path, folder: Path, max_bytes: int = 10**6) -> TreeCopy:
    (folder / "private").mkdir()
    return TreeCopy(tree, folder / "private" / "copy", max_bytes, lambda _done, _all: None)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_copy_has_what_git_would_keep_and_links_to_environments(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "pipe")
    copy = copied(tree, tmp_path)
    assert names(copy.folder) == {".venv", "src", "src/a.py", "check.py"}
    assert (copy.folder / ".venv").readlink() == tree / ".venv"
    assert copy.environments == [".venv"]


def test_a_copied_file_shares_nothing_that_a_command_can_write(tree: Path, tmp_path: Path) -> None:
    copy = copied(tree, tmp_path)
    with (copy.folder / "check.py").open("a") as file:
        file.write("more")
    assert (tree / "check.py").read_text() == "import a\n"
    assert (copy.folder / "src" / "a.py").stat().st_mtime_ns == (tree / "src" / "a.py").stat().st_mtime_ns


def test_a_restored_copy_is_what_it_was(tree: Path, tmp_path: Path) -> None:
    (tree / "link").symlink_to("src/a.py")
    (tree / "closed.sh").touch(mode=0o500)
    copy = copied(tree, tmp_path)
    before = {path: (copy.folder / path).lstat().st_mode for path in names(copy.folder)}
    (copy.folder / "src" / "a.py").write_text("a = 2\n")
    os.utime(copy.folder / "src" / "a.py", ns=(0, (tree / "src" / "a.py").stat().st_mtime_ns))
    (copy.folder / "link").unlink()
    (copy.folder / ".venv").unlink()
    (copy.folder / ".venv").mkdir()
    (copy.folder / "closed.sh").chmod(0o777)
    (copy.folder / "src").chmod(0)
    copy.restore()
    assert {path: (copy.folder / path).lstat().st_mode for path in names(copy.folder)} == before
    assert (copy.folder / "src" / "a.py").read_text() == "a = 1\n"
    assert (copy.folder / ".venv" / "marker").read_text() == "here"


def test_the_limit_says_how_large_the_tree_is_and_how_to_raise_it(tree: Path, tmp_path: Path) -> None:
    (tree / "data").write_bytes(bytes(3_000_000))
    with pytest.raises(IncoderError, match=r"has 3 files of 3 MB to copy, more than 1 MB; .* --max-copy"):
        copied(tree, tmp_path)
    assert names(tmp_path / "private") == set()


def test_links_out_of_a_tree_are_found_wherever_they_are(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "beside" / "inner").mkdir(parents=True)
    (tmp_path / "single").touch()
    (tree / ".venv" / "folder").symlink_to(tmp_path / "beside")
    (tree / "src" / "within").symlink_to("../../beside/inner")
    (tree / "file").symlink_to("../single")
    (tree / "inside").symlink_to("src")
    (tree / "nowhere").symlink_to("../nothing")
    (tree / "circle").symlink_to("circle")
    (tree / "device").symlink_to("/dev/null")
    assert links_out_of(tree) == [tmp_path / "beside", tmp_path / "single"]


@pytest.mark.skipif(sys.platform != "linux", reason="reflinks are asked for on Linux only")
@pytest.mark.parametrize("is_possible", [True, False])
def test_blocks_are_shared_where_the_file_system_can(
    is_possible: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("content")
    source.chmod(0o640)

    def clone(written: int, request: int, read: int) -> None:
        assert request == 0x40049409  # FICLONE in linux/fs.h
        if not is_possible:
            raise OSError
        os.write(written, os.read(read, 100))

    monkeypatch.setattr(fcntl, "ioctl", clone)
    copy_file(source, target)
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("content", 0o640)
