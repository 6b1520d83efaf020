import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from incoder.corpus.acquisition.bounded_process import FetchError, StoppedError
from incoder.corpus.acquisition.git import Git
from incoder.corpus.acquisition.repository import Repository
from incoder.errors import IncoderError

MakeRepository = Callable[..., str]

NOWHERE = "file:///nowhere.git"


def fetch(
    git: Git, folder: Path, url: str, *, seconds: float = 20.0, max_bytes: int = 10**8, **fields: Any
) -> tuple[str | None, str]:
    return git.fetch(
        Repository("github", "a/b", url, **fields),
        folder,
        deadline=time.monotonic() + seconds,
        max_bytes=max_bytes,
        max_file_bytes=1000,
    )


def head(url: str, branch: str) -> str:
    return (Path(url.removeprefix("file://")) / "refs" / "heads" / branch).read_text().strip()


def is_alive(group: int) -> bool:
    """Whether a process of this group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def fake_git(tmp_path: Path) -> Callable[[str], Git]:
    """A git that is this shell script."""

    def make(script: str) -> Git:
        path = tmp_path / "bin" / "git"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return Git({"PATH": f"{path.parent}:{os.environ['PATH']}"})

    return make


@pytest.mark.parametrize("branch", [None, "trunk", "gone"])
def test_a_branch_or_the_default_one_is_fetched(
    git: Git, make_repository: MakeRepository, tmp_path: Path, branch: str | None
) -> None:
    url = make_repository("r", {"a": b"1"}, branch="trunk")
    make_repository("r", {"a": b"other"}, branch="side")
    assert fetch(git, tmp_path / "clone", url, branch=branch) == ("trunk", head(url, "trunk"))


def test_a_commit_that_is_no_longer_the_newest_is_fetched(
    git: Git, make_repository: MakeRepository, tmp_path: Path
) -> None:
    url = make_repository("r", {"a": b"1"})
    commit = head(url, "main")
    make_repository("r", {"a": b"2"})
    assert fetch(git, tmp_path / "clone", url, branch="main", commit=commit) == ("main", commit)


def test_only_one_commit_is_fetched(git: Git, make_repository: MakeRepository, tmp_path: Path) -> None:
    for number in range(5):
        url = make_repository("r", {f"file{number}": b"x" * number})
    fetch(git, tmp_path / "clone", url)
    assert (tmp_path / "clone" / "shallow").read_text().strip() == head(url, "main")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"commit": "0" * 39 + "1"}, "the commit is gone"),
        ({"branch": "x"}, "empty repository"),
        ({}, "empty repository"),
    ],
)
def test_what_is_not_there_has_its_reason(
    git: Git, make_repository: MakeRepository, tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    url = make_repository("r", {"a": b"1"} if "commit" in fields else {})
    with pytest.raises(FetchError, match=rf"^{reason}$"):
        fetch(git, tmp_path / "clone", url, **fields)


def test_a_repository_that_is_gone_has_its_reason(git: Git, tmp_path: Path, host: Any) -> None:
    for name, url in (("one", NOWHERE), ("two", f"{host.url}/a/b.git")):
        with pytest.raises(FetchError, match=r"^gone or private$"):
            fetch(git, tmp_path / name, url)


def test_a_host_that_cannot_be_reached_has_its_reason(git: Git, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"^network: no connection$"):
        fetch(git, tmp_path / "clone", "http://127.0.0.1:9/a/b.git")


def test_a_repository_that_never_finishes_is_given_up_in_time(git: Git, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(FetchError, match=r"^took too long$"):
            fetch(git, tmp_path / "clone", f"http://127.0.0.1:{silent.getsockname()[1]}/a/b.git", seconds=0.5)
    assert time.monotonic() - started < 5


def test_a_repository_that_is_too_large_is_given_up(fake_git: Callable[[str], Git], tmp_path: Path) -> None:
    git = fake_git("while :; do printf 0123456789abcdef >> objects/pack/tmp; done")
    with pytest.raises(FetchError, match=r"^too large$"):
        fetch(git, tmp_path / "clone", NOWHERE, branch="main", max_bytes=10_000)


def test_even_unwatched_git_writes_no_file_beyond_twice_the_size(
    fake_git: Callable[[str], Git], tmp_path: Path
) -> None:
    git = fake_git("ulimit -f > limit; ulimit -v >> limit; echo 'fatal: x' >&2; exit 128")
    with pytest.raises(FetchError, match=r"^fatal: x$"):
        fetch(git, tmp_path / "clone", NOWHERE, branch="main", max_bytes=512_000)
    file_blocks, kilobytes = map(int, (tmp_path / "clone" / "limit").read_text().split())
    assert 2 * 1000 <= file_blocks <= 2 * 1000 + 1  # of 512 bytes
    assert kilobytes <= 4_000_000


def test_stopping_ends_what_is_under_way(fake_git: Callable[[str], Git], tmp_path: Path) -> None:
    git = fake_git("sleep 100 & sleep 100")
    threading.Timer(0.3, git.stop).start()
    started = time.monotonic()
    with pytest.raises(StoppedError):
        fetch(git, tmp_path / "clone", NOWHERE, branch="main")
    assert time.monotonic() - started < 10


def test_git_ends_with_us_even_when_we_are_killed(fake_git: Callable[[str], Git], tmp_path: Path) -> None:
    git = fake_git("echo $$ > pid; sleep 100 & sleep 100")
    folder = tmp_path / "clone"
    if (child := os.fork()) == 0:
        with suppress(FetchError):
            fetch(git, folder, NOWHERE, branch="main")
        os._exit(0)
    while not (folder / "pid").is_file() or not (folder / "pid").read_text():
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    give_up = time.monotonic() + 10
    while is_alive(int((folder / "pid").read_text())):
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_a_full_disk_is_not_the_repositorys_fault(fake_git: Callable[[str], Git], tmp_path: Path) -> None:
    git = fake_git("echo 'fatal: write error: No space left on device' >&2; exit 128")
    with pytest.raises(OSError, match="No space left"):
        fetch(git, tmp_path / "clone", NOWHERE, branch="main")


@pytest.mark.parametrize(
    "line", ["remote: No space left on device", "fatal: remote error: No space left on device"]
)
def test_a_full_disk_of_the_host_is_not_ours(
    fake_git: Callable[[str], Git], tmp_path: Path, line: str
) -> None:
    git = fake_git(f"echo '{line}' >&2; exit 128")
    with pytest.raises(FetchError):
        fetch(git, tmp_path / "clone", NOWHERE, branch="main")


def test_git_is_told_nothing_of_the_users_and_asks_nothing(
    fake_git: Callable[[str], Git], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "s3cret")
    monkeypatch.setenv("GIT_SSH_COMMAND", "touch pwned")
    git = fake_git("env > environment; exit 1")
    with pytest.raises(FetchError):
        fetch(git, tmp_path / "clone", NOWHERE, branch="main")
    environment = (tmp_path / "clone" / "environment").read_text()
    assert "s3cret" not in environment
    assert "pwned" not in environment
    assert "GIT_TERMINAL_PROMPT=0\n" in environment
    assert f"HOME={tmp_path / 'clone'}\n" in environment


def test_programs_in_the_place_of_a_url_are_not_run(git: Git, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="transport 'ext' not allowed"):
        fetch(git, tmp_path / "clone", f"ext::sh -c touch% {tmp_path}/pwned", branch="main")
    assert not (tmp_path / "pwned").exists()


def test_hooks_and_configuration_of_a_repository_are_not_run(
    git: Git, make_repository: MakeRepository, tmp_path: Path
) -> None:
    url = make_repository("r", {"a": b"1", ".gitattributes": b"* filter=evil\n"})
    folder = Path(url.removeprefix("file://"))
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
    evil.chmod(0o755)
    with (folder / "config").open("a") as config:
        config.write(f'[core]\n\tfsmonitor = {evil}\n[filter "evil"]\n\tsmudge = {evil}\n')
        config.write(f"[uploadpack]\n\tpackObjectsHook = {evil}\n")
    for name in ("post-checkout", "post-update", "reference-transaction", "pre-auto-gc"):
        (folder / "hooks").mkdir(exist_ok=True)
        (folder / "hooks" / name).write_bytes(evil.read_bytes())
        (folder / "hooks" / name).chmod(0o755)
    fetch(git, tmp_path / "clone", url)
    assert not (tmp_path / "pwned").exists()


def test_without_git_the_remedy_is_named() -> None:
    with pytest.raises(IncoderError, match="needs git; install it"):
        Git({"PATH": "/nowhere"})
