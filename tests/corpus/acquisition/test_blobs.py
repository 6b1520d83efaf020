import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoder.corpus.acquisition.blobs import FileLimits, LeftOut, RepositoryFile, read_files
from incoder.corpus.acquisition.bounded_process import FetchError
from incoder.corpus.acquisition.git import Git
from incoder.corpus.acquisition.repository import Repository

MakeRepository = Callable[..., str]

LIMITS = FileLimits((), max_file_bytes=1000, max_files=100, max_bytes=100_000)


def read(
    git: Git, url: str, folder: Path, limits: FileLimits = LIMITS
) -> tuple[list[RepositoryFile], LeftOut]:
    """What is kept of a repository, and what is not."""
    deadline = time.monotonic() + 20
    repository = Repository("github", "a/b", url)
    _, commit = git.fetch(
        repository, folder, deadline=deadline, max_bytes=10**8, max_file_bytes=limits.max_file_bytes
    )
    left_out = LeftOut()
    files = read_files(git, folder, commit, limits, left_out, deadline=deadline)
    return list(files), left_out


def by_path(files: list[RepositoryFile]) -> dict[str, bytes]:
    return {file.path: file.content for file in files}


def test_files_come_as_the_commit_has_them(git: Git, make_repository: MakeRepository, tmp_path: Path) -> None:
    files: dict[str | bytes, bytes] = {
        "a.py": b"x = 1\r\n",
        "deep/er/b c.txt": "grün\n".encode(),
        "latin.txt": b"gr\xfcn",
        "no newline": b"x",
        ".gitattributes": b"*.py text eol=lf filter=lfs\n",
    }
    kept, left_out = read(git, make_repository("r", files), tmp_path / "clone")
    assert by_path(kept) == files
    assert left_out.counts() == {}


def test_any_path_is_told(git: Git, make_repository: MakeRepository, tmp_path: Path) -> None:
    names = [
        b"new\nline.py",
        b"tab\t.py",
        b'quote".py',
        b"back\\slash.py",
        "ü.py".encode(),
        b"\xff\xfe.py",
        b"-o",
    ]
    kept, _ = read(git, make_repository("r", dict.fromkeys(names, b"x")), tmp_path / "clone")
    told = {"new\nline.py", "tab\t.py", 'quote".py', "back\\slash.py", "ü.py", "\\xff\\xfe.py", "-o"}
    assert by_path(kept).keys() == told


def test_what_is_no_text_is_left_out_with_its_reason(
    git: Git, make_repository: MakeRepository, tmp_path: Path
) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"
    files = {
        "good.py": b"1",
        "link": ("120000", b"/etc/passwd"),
        "module": ("160000", b"1" * 40),
        ".gitmodules": b'[submodule "module"]\n\tpath = module\n\turl = /etc\n',
        "binary": b"a\0b",
        "empty": b"",
        "large": b"x" * 1001,
        "just fits": b"x" * 1000,
        "model.bin": pointer,
        "program": ("100755", b"#!/bin/sh\n"),
    }
    kept, left_out = read(git, make_repository("r", files), tmp_path / "clone")
    assert by_path(kept).keys() == {"good.py", ".gitmodules", "just fits", "program"}
    assert left_out.counts() == {
        "symbolic link": (1, 0),
        "submodule": (1, 0),
        "binary": (1, 3),
        "empty": (1, 0),
        "too large": (1, 1001),
        "LFS pointer": (1, len(pointer)),
    }


def test_large_files_are_not_even_sent_where_the_host_can_leave_them_out(
    git: Git, make_repository: MakeRepository, tmp_path: Path
) -> None:
    files = {"small": b"1", "large": bytes(i * i % 251 for i in range(300_000)), "other": b"2"}
    url = make_repository("r", files)
    folder = url.removeprefix("file://")
    subprocess.run(["git", "-C", folder, "config", "uploadpack.allowFilter", "true"], check=True)
    kept, left_out = read(git, url, tmp_path / "clone")
    assert by_path(kept) == {"small": b"1", "other": b"2"}
    assert left_out.counts() == {"too large": (1, 0)}
    assert sum(path.stat().st_size for path in (tmp_path / "clone").rglob("*.pack")) < 1000


def test_extensions_choose(git: Git, make_repository: MakeRepository, tmp_path: Path) -> None:
    url = make_repository("r", {"a.py": b"1", "B.PY": b"2", "c.txt": b"3", "py": b"4"})
    limits = FileLimits((".py",), 1000, 100, 1000)
    kept, left_out = read(git, url, tmp_path / "clone", limits)
    assert by_path(kept) == {"a.py": b"1", "B.PY": b"2"}
    assert left_out.counts() == {"other extension": (2, 0)}


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(FileLimits((), 1000, 9, 10**6), "too many files"), (FileLimits((), 1000, 10, 9_999), "too large")],
)
def test_a_repository_beyond_its_limits_is_given_up(
    git: Git, make_repository: MakeRepository, tmp_path: Path, limits: FileLimits, reason: str
) -> None:
    url = make_repository("r", {f"f{number}": b"x" * 1000 for number in range(10)})
    with pytest.raises(FetchError, match=rf"^{reason}$"):
        read(git, url, tmp_path / "clone", limits)
    kept, _ = read(git, url, tmp_path / "again", FileLimits((), 1000, 10, 10_000))
    assert len(kept) == 10


def test_a_tree_that_holds_itself_ten_times_at_each_level_is_given_up(
    git: Git, make_repository: MakeRepository, tmp_path: Path
) -> None:
    url = make_repository("r", {"a": b"x"})
    folder = url.removeprefix("file://")

    def run(*words: str, stdin: str = "") -> str:
        command = ["git", "-C", folder, *words]
        return subprocess.run(command, input=stdin, capture_output=True, check=True, text=True).stdout.strip()

    blob = run("rev-parse", "main:a")
    entry = f"100644 blob {blob}"
    for _ in range(10):
        tree = run("mktree", stdin="".join(f"{entry}\td{i}\n" for i in range(10)))
        entry = f"040000 tree {tree}"
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    run("update-ref", "refs/heads/main", run(*author, "commit-tree", "-m", "bomb", tree))
    started = time.monotonic()
    with pytest.raises(FetchError, match=r"^too many files$"):
        read(git, url, tmp_path / "clone", FileLimits((), 1000, 50_000, 10**6))
    assert time.monotonic() - started < 15


def test_a_path_that_leads_outside_is_left_out(
    git: Git, make_repository: MakeRepository, tmp_path: Path
) -> None:
    url = make_repository("r", {"a": b"x"})
    folder = url.removeprefix("file://")
    inner = bytes.fromhex(
        subprocess.run(["git", "-C", folder, "rev-parse", "main^{tree}"], capture_output=True, check=True)
        .stdout.decode()
        .strip()
    )
    tree = (
        subprocess.run(
            ["git", "-C", folder, "hash-object", "-w", "-t", "tree", "--literally", "--stdin"],
            input=b"40000 ..\0" + inner,
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
    )
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    commit = (
        subprocess.run(
            ["git", "-C", folder, *author, "commit-tree", "-m", "evil", tree], capture_output=True, check=True
        )
        .stdout.decode()
        .strip()
    )
    subprocess.run(["git", "-C", folder, "update-ref", "refs/heads/main", commit], check=True)
    kept, left_out = read(git, url, tmp_path / "clone")
    assert kept == []
    assert left_out.counts() == {"unusable path": (1, 0)}


NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: not set(b"/\0") & set(name) and name.lower() not in (b".", b"..", b".git")
)
CONTENTS = st.binary(min_size=1, max_size=200).map(lambda content: b"#" + content.replace(b"\0", b"0"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(NAMES, CONTENTS, min_size=1, max_size=8))
def test_whatever_names_and_contents_are_every_file_is_read_once(
    git: Git, make_repository: MakeRepository, tmp_path: Path, files: Mapping[bytes, bytes]
) -> None:
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    kept, left_out = read(git, make_repository(folder.name, files), folder / "clone")
    assert sorted(file.content for file in kept) == sorted(files.values())
    assert left_out.counts() == {}
