import csv
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from incoder.corpus.acquisition.fetch_folder import opened
from incoder.corpus.acquisition.manifest import read_repositories, write_manifest
from incoder.corpus.acquisition.repository import Repository, problem_with
from incoder.corpus.acquisition.state import Staged
from incoder.errors import IncoderError

Read = tuple[list[Repository], list[tuple[str, str]]]


def read(path: Path, source: str = "github") -> Read:
    """The repositories of a list, and its rows that are none."""
    items = list(read_repositories(path, source))
    good = [item for item in items if isinstance(item, Repository)]
    return good, [item for item in items if not isinstance(item, Repository)]


def read_csv(folder: Path, text: str | bytes, source: str = "github") -> Read:
    path = folder / "list.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path, source)


def test_a_list_of_names_is_enough(tmp_path: Path) -> None:
    good, bad = read_csv(tmp_path, "repo\na/b\n\nc/d\n")
    assert good == [
        Repository("github", "a/b", "https://github.com/a/b.git"),
        Repository("github", "c/d", "https://github.com/c/d.git"),
    ]
    assert bad == []


def test_names_are_of_the_host_that_is_asked(tmp_path: Path) -> None:
    (repository,), _ = read_csv(tmp_path, "repo\ngroup/sub/project\n", "gitlab")
    assert repository == Repository("gitlab", "group/sub/project", "https://gitlab.com/group/sub/project.git")


def test_columns_go_by_the_names_that_others_give_them(tmp_path: Path) -> None:
    good, bad = read_csv(
        tmp_path,
        "id,Name,isFork,mainLanguage,defaultBranch,license,stargazers,commit\n"
        '1,a/b,false,Python,trunk,"BSD 3-Clause ""New"" or ""Revised"" License",7.0,' + "AB" * 20 + "\n"
        "2,c/d,false,,,,,\n",
    )
    url = "https://github.com/a/b.git"
    assert good == [
        Repository("github", "a/b", url, "BSD-3-Clause", "Python", 7, "trunk", "ab" * 20),
        Repository("github", "c/d", "https://github.com/c/d.git"),
    ]
    assert bad == []


def test_broken_rows_are_told_with_place_and_reason_and_stop_nothing(tmp_path: Path) -> None:
    text = (
        b"\xef\xbb\xbfrepo,stars,branch,url\n"
        b"a/one,1,,\n"
        b"short\n"
        b"a/two,many,,\n"
        b'"a/new\nline",1,,\n'
        b"../../etc,1,,\n"
        b"a/\xff,1,,\n"
        b"-o/x y,1,,\n"
        b"a/three,1,--upload-pack=x,\n"
        b"a/four,1,a:refs/heads/b,\n"
        b"a/five,1,,ext::sh -c true\n"
        b"a/six,1,,https://me:s3cret@example.org/x.git\n"
        b"a/seven,-1,,\n"
        b"a/eight,nan,,\n"
        b"a/nine,1e400,,\n"
        b"a/last,1,,\n"
    )
    good, bad = read_csv(tmp_path, text)
    assert [repository.repo for repository in good] == ["a/one", "a/last"]
    no_name = "no name of a repository (it must be like owner/name)"
    assert bad == [
        ("line 3", "another number of fields than the header"),
        ("line 4: 'a/two'", "no number of stars"),
        ("line 6: 'a/new\\nline'", no_name),
        ("line 7: '../../etc'", no_name),
        ("line 8: 'a/�'", no_name),
        ("line 9: '-o/x y'", no_name),
        ("line 10: 'a/three'", "no name of a branch"),
        ("line 11: 'a/four'", "no name of a branch"),
        ("line 12: 'a/five'", "no https, http or file URL"),
        ("line 13: 'a/six'", "a URL with a user name or password (only public repositories are fetched)"),
        ("line 14: 'a/seven'", "no number of stars"),
        ("line 15: 'a/eight'", "no number of stars"),
        ("line 16: 'a/nine'", "no number of stars"),
    ]


def test_a_row_that_csv_cannot_read_stops_nothing(tmp_path: Path) -> None:
    good, bad = read_csv(
        tmp_path, "repo,url\na/one,\na/two," + "x" * (csv.field_size_limit() + 1) + "\na/three,\n"
    )
    assert [repository.repo for repository in good] == ["a/one", "a/three"]
    assert [reason for _, reason in bad] == ["no CSV: field larger than field limit (131072)"]


@pytest.mark.parametrize("text", ["", "stars,licence\n1,MIT\n"])
def test_a_list_without_names_says_what_the_column_is_called(tmp_path: Path, text: str) -> None:
    with pytest.raises(IncoderError, match="no column with names of repositories; call it repo, or one of"):
        read_csv(tmp_path, text)


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no parquet")
    for path in (tmp_path / "x.parquet", tmp_path / "missing.csv", tmp_path / "missing.parquet"):
        with pytest.raises(IncoderError, match=f"cannot read {path}"):
            read(path)


def test_parquet_is_read_by_the_same_names(tmp_path: Path) -> None:
    table = pa.table(
        {
            "max_stars_repo_name": ["a/b", "no name", "c/d"],
            "max_stars_count": [5, None, 0],
            "license": [["MIT", "GPL-3.0"], [], ["NOASSERTION"]],
        }
    )
    parquet.write_table(table, tmp_path / "stack.parquet")
    good, bad = read(tmp_path / "stack.parquet")
    assert good == [
        Repository("github", "a/b", "https://github.com/a/b.git", "MIT AND GPL-3.0", stars=5),
        Repository("github", "c/d", "https://github.com/c/d.git", stars=0),
    ]
    assert bad == [("row 2: 'no name'", "no name of a repository (it must be like owner/name)")]


def test_a_manifest_can_be_fetched_from_again(tmp_path: Path) -> None:
    given = [
        Repository("github", "a/b", "https://github.com/a/b.git", "MIT", "Python", 5, "main"),
        Repository("gitlab", "g/s/p", "https://gitlab.com/g/s/p.git"),
        Repository("elsewhere", "c/d", "https://example.org/c/d", stars=0),
    ]
    with opened(tmp_path) as state:
        state.add(given)
        state.stage(1, Staged("main", "c" * 40, 2, 100, {}))
        state.fail(2, "gone or private")
        path = write_manifest(tmp_path, state)
    rows = parquet.read_table(path).to_pylist()
    assert [(row["outcome"], row["reason"]) for row in rows] == [
        ("fetched", None),
        ("failed", "gone or private"),
        ("listed", None),
    ]
    assert rows[0]["commit"] == "c" * 40
    good, bad = read(path)
    assert bad == []
    assert good[1:] == given[1:]
    assert good[0].commit == "c" * 40


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.lists(st.lists(st.text(max_size=20), min_size=1, max_size=4), max_size=5))
def test_no_cell_gets_through_that_is_not_safe_to_fetch(
    tmp_path: Path, fields: Sequence[Sequence[str]]
) -> None:
    path = tmp_path / "list.csv"
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        csv.writer(file).writerows([["repo", "branch", "url", "stars"], *fields])
    good, bad = read(path)
    assert all(problem_with(repository) is None for repository in good)
    assert all(
        not repository.repo.startswith("/") and ".." not in repository.repo.split("/") for repository in good
    )
    assert all(reason for _, reason in bad)


@pytest.mark.parametrize(
    "branch",
    [
        "",
        "-x",
        "a..b",
        "a b",
        "a\nb",
        "a:b",
        "a*",
        "a[",
        "a\\",
        "a^",
        "a~1",
        "a@{1}",
        "/a",
        "a/",
        "a.lock",
        "a.",
    ],
)
def test_what_git_would_not_take_for_a_branch_is_none(branch: str) -> None:
    assert problem_with(Repository("github", "a/b", "https://x/y", branch=branch)) == "no name of a branch"


@pytest.mark.parametrize("branch", ["main", "feature/x-1", "ünïcode", "v1.0", "a@b", "#1"])
def test_what_git_takes_for_a_branch_is_one(branch: str) -> None:
    assert problem_with(Repository("github", "a/b", "https://x/y", branch=branch)) is None
