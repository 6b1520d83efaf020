import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from incoder.corpus.acquisition import fetching
from incoder.corpus.acquisition import repository_files as parts
from incoder.corpus.acquisition.blobs import FileLimits
from incoder.corpus.acquisition.fetch_folder import opened
from incoder.corpus.acquisition.fetching import FetchLimits, fetch_repositories
from incoder.corpus.acquisition.git import Git
from incoder.corpus.acquisition.repository import Repository
from incoder.corpus.acquisition.repository_files import COLUMNS
from incoder.errors import IncoderError

MakeRepository = Callable[..., str]

FILES = FileLimits((), max_file_bytes=100_000, max_files=1000, max_bytes=10_000_000)
LIMITS = FetchLimits(FILES, timeout_seconds=20, num_workers=2)


def fetch(
    folder: Path, git: Git, repositories: Sequence[Repository] = (), limits: FetchLimits = LIMITS
) -> None:
    with opened(folder) as state:
        state.add(repositories)
        fetch_repositories(folder, state, git, limits)


def rows(folder: Path) -> list[dict[str, Any]]:
    """All that lies in the parts, in the order of repositories and paths."""
    found: list[dict[str, Any]] = []
    for path in sorted((folder / "files").iterdir()):
        found += parquet.read_table(path).to_pylist()
    return sorted(found, key=lambda row: (row["repo"], row["path"]))


def outcomes(folder: Path) -> dict[object, object]:
    with opened(folder) as state:
        return {row["repo"]: row["reason"] or row["outcome"] for row in state.rows()}


@pytest.fixture
def three(make_repository: MakeRepository) -> list[Repository]:
    """Three small repositories of two files each."""
    return [
        Repository(
            "github",
            f"owner/r{number}",
            make_repository(f"r{number}", {"a.py": b"x = %d\n" % number, "b.py": b"y" * 1000}),
            licence="MIT",
            language="Python",
            stars=number,
        )
        for number in range(3)
    ]


def test_path_content_and_metadata_are_in_one_record(
    git: Git, make_repository: MakeRepository, tmp_path: Path
) -> None:
    url = make_repository("r", {"d/a.py": "ü = 1\n".encode(), "latin.py": b"\xfc"}, branch="trunk")
    fetch(tmp_path / "out", git, [Repository("gitlab", "g/s/r", url, "MIT", "Python", 7)])
    commit = (Path(url.removeprefix("file://")) / "refs/heads/trunk").read_text().strip()
    shared = {
        "repo": "g/s/r",
        "licence": "MIT",
        "stars": 7,
        "language": "Python",
        "source": "gitlab",
        "url": url,
        "branch": "trunk",
        "commit": commit,
    }
    assert rows(tmp_path / "out") == [
        {"path": "d/a.py", "content": "ü = 1\n".encode(), "size": 7, **shared},
        {"path": "latin.py", "content": b"\xfc", "size": 1, **shared},
    ]
    (part,) = (tmp_path / "out" / "files").iterdir()
    assert tuple(parquet.read_schema(part).names) == COLUMNS
    assert list((tmp_path / "out" / "staging").iterdir()) == []


def test_a_repository_that_fails_does_not_stop_the_others_and_can_be_tried_again(
    git: Git, make_repository: MakeRepository, three: list[Repository], tmp_path: Path
) -> None:
    later = tmp_path / "host" / "later.git"
    missing = Repository("github", "owner/later", later.as_uri())
    empty = Repository("github", "owner/empty", make_repository("empty", {}))
    binary = Repository("github", "owner/binary", make_repository("binary", {"a": b"\0"}))
    out = tmp_path / "out"
    fetch(out, git, [missing, *three, empty, binary])
    assert outcomes(out) == {
        "owner/later": "gone or private",
        "owner/r0": "packed",
        "owner/r1": "packed",
        "owner/r2": "packed",
        "owner/empty": "empty repository",
        "owner/binary": "empty",
    }
    make_repository("later", {"a.py": b"1"})
    fetch(out, git)
    assert outcomes(out)["owner/later"] == "gone or private"
    with opened(out) as state:
        assert state.retry_failed() == 2
        fetch_repositories(out, state, git, LIMITS)
    assert outcomes(out)["owner/later"] == "packed"
    assert [row["repo"] for row in rows(out)] == [
        "owner/later",
        *sorted(f"owner/r{n}" for n in (0, 0, 1, 1, 2, 2)),
    ]


def test_what_was_fetched_is_not_fetched_again(
    git: Git, make_repository: MakeRepository, three: list[Repository], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    fetch(out, git, three)
    before = rows(out)
    make_repository("r0", {"new.py": b"new"})
    fetch(out, git, [*three, Repository("github", "Owner/R1", three[1].url)])  # the same to the host
    assert rows(out) == before


def test_parts_are_closed_at_their_size(git: Git, three: list[Repository], tmp_path: Path) -> None:
    limits = FetchLimits(FILES, timeout_seconds=20, num_workers=1, partition_bytes=1500)
    fetch(tmp_path, git, three, limits)
    assert [path.name for path in sorted((tmp_path / "files").iterdir())] == [
        "part-000001.parquet",
        "part-000002.parquet",
    ]
    assert len(rows(tmp_path)) == 6


def test_a_part_has_row_groups_of_bounded_size(
    git: Git, three: list[Repository], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_ROW_GROUP_BYTES", 1500)
    fetch(tmp_path, git, three)
    (part,) = (tmp_path / "files").iterdir()
    metadata = parquet.read_metadata(part)
    assert [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)] == [4, 2]


def test_a_network_that_is_down_stops_the_run_before_all_have_failed(git: Git, tmp_path: Path) -> None:
    unreachable = [Repository("github", f"a/r{n}", f"http://127.0.0.1:9/{n}.git") for n in range(40)]
    with pytest.raises(IncoderError, match=r"20 repositories in a row failed \(network: no connection\)"):
        fetch(tmp_path, git, unreachable)
    assert list(outcomes(tmp_path).values()).count("listed") == 20


@pytest.mark.parametrize("num_before", [0, 1, 3])
def test_after_a_full_disk_the_fetch_goes_on(
    git: Git, three: list[Repository], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_before: int
) -> None:
    calls = 0
    put_in_place = parts.put_in_place

    def full(temporary: Path, target: Path) -> None:
        nonlocal calls
        calls += 1
        if calls > num_before:
            raise OSError(28, "No space left on device")
        put_in_place(temporary, target)

    monkeypatch.setattr(fetching, "put_in_place", full)
    with pytest.raises(IncoderError, match="No space left on device"):
        fetch(tmp_path, git, three)
    monkeypatch.undo()
    assert not {"failed"} & set(outcomes(tmp_path).values())
    fetch(tmp_path, git)
    assert len(rows(tmp_path)) == 6


@pytest.mark.parametrize("name", ["files/part-000001.parquet", "staging/notes.txt", "manifest.parquet"])
def test_a_fetch_replaces_and_removes_nothing_of_somebody_else(git: Git, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("precious")
    with pytest.raises(IncoderError, match=f"holds {name.split('/')[0]}, which would be replaced"):
        fetch(tmp_path, git)
    assert path.read_text() == "precious"


def test_parts_that_came_after_the_listing_are_left_alone(git: Git, tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "part-000001.parquet").write_text("precious")
    with pytest.raises(IncoderError, match="holds partitions of another fetch; take another folder"):
        fetch(tmp_path, git)
    assert (tmp_path / "files" / "part-000001.parquet").read_text() == "precious"


def test_a_database_of_another_program_stays_as_it_is(git: Git, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state.sqlite")) as database:
        database.execute("CREATE TABLE theirs (x)")
    before = (tmp_path / "state.sqlite").read_bytes()
    with pytest.raises(IncoderError, match=r"holds state\.sqlite"):
        fetch(tmp_path, git)
    assert (tmp_path / "state.sqlite").read_bytes() == before


def test_two_at_once_are_refused(git: Git, tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(IncoderError, match="another process is fetching into"):
        fetch(tmp_path, git)


def test_an_interruption_ends_what_is_under_way_and_loses_nothing_else(
    git: Git, three: list[Repository], tmp_path: Path
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with opened(out) as state:
        state.add(three)
        with pytest.raises(KeyboardInterrupt):
            fetch_repositories(out, state, git, FetchLimits(FILES, 20, num_workers=1), interrupt)
    assert list(outcomes(out).values()) == ["staged", "listed", "listed"]
    fetch(out, Git({"PATH": "/usr/local/bin:/usr/bin:/bin"}))
    assert len(rows(out)) == 6


KILLED = Path(__file__).with_name("killed_fetch.py")


def kill_between_writes(folder: Path, urls: Sequence[str], first: int, step: int) -> None:
    command = [sys.executable, str(KILLED), str(folder), str(first), str(step), *urls]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50  # so many writes are there to be killed between


@pytest.mark.slow
def test_a_kill_between_any_two_writes_is_gone_on_from(three: list[Repository], tmp_path: Path) -> None:
    kill_between_writes(tmp_path, [repository.url for repository in three], 3, 13)


@pytest.mark.slow
def test_a_kill_between_all_two_writes_is_gone_on_from(three: list[Repository], tmp_path: Path) -> None:
    kill_between_writes(tmp_path, [repository.url for repository in three], 1, 1)
