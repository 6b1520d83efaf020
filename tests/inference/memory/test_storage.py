"""Indexes on disk: private, whole or not there, bounded."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from incoder.errors import IncoderError
from incoder.inference.memory import storage
from incoder.inference.memory.index import ProjectIndex, updated
from incoder.inference.memory.storage import (
    DamagedIndexError,
    clear,
    read_index,
    stored_projects,
    write_index,
)
from incoder.tokenizer.tokenizer import Tokenizer

Write = Callable[[str, str], Path]


@pytest.fixture
def root(tmp_path: Path, write: Write) -> Path:
    for number in range(5):
        write(f"file{number}.py", f"def function{number}(x):\n    return x + {number}\n")
    return tmp_path / "project"


@pytest.fixture
def index(root: Path, tiny_tokenizer: Tokenizer) -> ProjectIndex:
    return updated(ProjectIndex({}), root, tiny_tokenizer)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "projects" / "key"


def test_an_index_comes_back_as_it_was_written(
    root: Path, index: ProjectIndex, folder: Path, tiny_tokenizer: Tokenizer
) -> None:
    assert read_index(folder, tiny_tokenizer.vocab_size) is None
    write_index(folder, index, root)
    found = read_index(folder, tiny_tokenizer.vocab_size)
    assert found is not None
    assert found.files == index.files
    assert [bytes(one.data) for one in found.segments] == [bytes(one.data) for one in index.segments]


def test_only_the_user_may_read_it(root: Path, index: ProjectIndex, folder: Path) -> None:
    before = os.umask(0)
    try:
        write_index(folder, index, root)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder)}
    assert set(modes.values()) == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_folder_that_others_can_enter_is_closed(root: Path, index: ProjectIndex, folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    write_index(folder, index, root)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_link_in_place_of_the_folder_is_refused(
    root: Path, index: ProjectIndex, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder.parent.mkdir(parents=True)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IncoderError, match="is not a folder of this user"):
        write_index(folder, index, root)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    "damage", ["cut", "changed", "missing", "no json", "other json", "deep json", "bad span"]
)
def test_what_is_damaged_is_noticed(
    root: Path, index: ProjectIndex, folder: Path, tiny_tokenizer: Tokenizer, damage: str
) -> None:
    write_index(folder, index, root)
    (segment,) = folder.glob("*.segment")
    manifest = folder / "manifest.json"
    if damage == "cut":
        segment.write_bytes(segment.read_bytes()[:-4])
    elif damage == "changed":
        content = bytearray(segment.read_bytes())
        content[len(content) // 2] ^= 1
        segment.write_bytes(content)
    elif damage == "missing":
        segment.unlink()
    elif damage == "no json":
        manifest.write_bytes(manifest.read_bytes()[:-3])
    elif damage == "other json":
        manifest.write_text("[]")
    elif damage == "deep json":
        manifest.write_text("[" * 200_000)
    else:
        manifest.write_text(manifest.read_text().replace('"segments":[{', '"segments":[],"was":[{'))
    with pytest.raises(DamagedIndexError):
        read_index(folder, tiny_tokenizer.vocab_size)


def test_an_index_that_is_read_stays_readable_while_others_replace_and_remove_it(
    root: Path, write: Write, index: ProjectIndex, folder: Path, tiny_tokenizer: Tokenizer
) -> None:
    write_index(folder, index, root)
    found = read_index(folder, tiny_tokenizer.vocab_size)
    assert found is not None
    before = [bytes(one.data) for one in found.segments]
    write("file9.py", "def another(x):\n    return x\n" * 50)
    write_index(folder, updated(index, root, tiny_tokenizer), root)
    assert clear(folder.parent)
    assert [bytes(one.data) for one in found.segments] == before


def test_a_writer_restores_a_segment_that_another_removed(
    root: Path, index: ProjectIndex, folder: Path, tiny_tokenizer: Tokenizer
) -> None:
    write_index(folder, index, root)
    found = read_index(folder, tiny_tokenizer.vocab_size)
    assert found is not None
    clear(folder.parent)
    write_index(folder, found, root)
    assert read_index(folder, tiny_tokenizer.vocab_size) is not None


def test_segments_that_are_no_longer_used_are_removed(
    root: Path, write: Write, index: ProjectIndex, folder: Path, tiny_tokenizer: Tokenizer
) -> None:
    write_index(folder, index, root)
    write("file9.py", "def another(x):\n    return x\n" * 50)
    write_index(folder, updated(index, root, tiny_tokenizer), root)
    assert len(list(folder.glob("*.segment"))) == 1


def test_what_a_killed_process_left_is_removed_after_a_while(
    root: Path, index: ProjectIndex, folder: Path
) -> None:
    folder.mkdir(parents=True)
    old, new = folder / ".tmp-1-a.segment", folder / ".tmp-2-b.segment"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    write_index(folder, index, root)
    assert (old.exists(), new.exists()) == (False, True)


def test_the_projects_used_least_recently_are_removed(
    root: Path, index: ProjectIndex, folder: Path, tiny_tokenizer: Tokenizer
) -> None:
    parent, folders = folder.parent, [folder.parent / name for name in "abc"]
    for number, one in enumerate(folders):
        write_index(one, index, root)
        os.utime(one / "manifest.json", (number, number))
    assert read_index(folders[0], tiny_tokenizer.vocab_size) is not None  # that is a use
    size = sum(path.stat().st_size for path in folders[0].iterdir())
    write_index(parent / "d", index, root, max_bytes=3 * size)
    assert sorted(one.folder.name for one in stored_projects(parent)) == ["a", "c", "d"]


def test_an_index_larger_than_the_bound_is_not_stored(root: Path, index: ProjectIndex, folder: Path) -> None:
    with pytest.raises(IncoderError, match="10 are allowed"):
        write_index(folder, index, root, max_bytes=10)
    assert not folder.exists()


def test_clear_removes_a_project_or_all_and_nothing_of_anybody_else(
    root: Path, index: ProjectIndex, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    write_index(folder, index, root)
    write_index(folder.parent / "other", index, other)
    (folder / "mine.txt").write_text("not ours")
    assert [one.root for one in clear(folder.parent, root)] == [str(root)]
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert [one.root for one in clear(folder.parent)] == [str(other), ""]
    assert clear(tmp_path / "nowhere") == []


WRITER = """
import sys
from pathlib import Path
from incoder.inference.memory.index import ProjectIndex, updated
from incoder.inference.memory.storage import write_index
from incoder.tokenizer.tokenizer import Tokenizer

root, folder, tokenizer = Path(sys.argv[1]), Path(sys.argv[2]), Tokenizer.from_file(Path(sys.argv[3]))
print("started", flush=True)
for number in range(int(sys.argv[4])):
    (root / f"file{sys.argv[5]}.py").write_text(f"def function(x):\\n    return x + {number}\\n" * 20)
    write_index(folder, updated(ProjectIndex({}), root, tokenizer), root)
"""


def started_writer(
    root: Path, folder: Path, tokenizer: Path, num_times: int, name: str
) -> subprocess.Popen[str]:
    arguments = [str(root), str(folder), str(tokenizer), str(num_times), name]
    process = subprocess.Popen([sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def test_two_writers_and_a_kill_leave_a_whole_index(
    root: Path, folder: Path, tmp_path: Path, tiny_tokenizer: Tokenizer
) -> None:
    tiny_tokenizer.save(tmp_path / "tokenizer")
    killed = started_writer(root, folder, tmp_path / "tokenizer", 100_000, "a")
    other = started_writer(root, folder, tmp_path / "tokenizer", 20, "b")
    num_read, end = 0, time.monotonic() + 60
    try:
        while other.poll() is None and time.monotonic() < end:
            num_read += (
                read_index(folder, tiny_tokenizer.vocab_size) is not None
            )  # raises if one is not whole
            if num_read == 5:
                killed.send_signal(signal.SIGKILL)
    finally:
        killed.kill()
        for process in (killed, other):
            process.communicate(timeout=60)
    assert other.returncode == 0
    assert num_read
    index = read_index(folder, tiny_tokenizer.vocab_size)
    assert index is not None
    assert index.num_files >= 6  # the killed process may have left its own source file empty
    assert storage.stored_projects(folder.parent)[0].num_files == index.num_files
