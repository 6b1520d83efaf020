from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from incoder.corpus.acquisition.api import Api
from incoder.corpus.acquisition.fetch_folder import opened
from incoder.corpus.acquisition.gitlab import GitLabListing, headers
from incoder.corpus.acquisition.host_listing import Wanted, list_repositories
from incoder.corpus.acquisition.repository import Repository
from incoder.corpus.acquisition.state import State
from incoder.errors import IncoderError

EVERYTHING = Wanted(("Python",), ("MIT", "BSD-3-Clause"), 0, "2010-01-01T00:00:00Z", "2029-12-31T23:59:59Z")


@contextmanager
def listing(host: Any, wanted: Wanted = EVERYTHING, token: str | None = "t") -> Iterator[GitLabListing]:
    with Api(host.url, headers(token), sleep=lambda _: None) as api:
        yield GitLabListing(api, wanted)


def listed(state: State) -> list[object]:
    return [row["repo"] for row in state.rows()]


def test_a_project_is_listed_with_what_the_host_knows(host: Any, tmp_path: Path) -> None:
    host.hold_gitlab(5, licence="bsd-3-clause", star_count=9)
    with listing(host) as gitlab, opened(tmp_path) as state:
        list_repositories(gitlab, state)
        url = "https://gitlab.com/group/sub/p5.git"
        assert state.next_listed(0) == (
            1,
            Repository("gitlab", "group/sub/p5", url, "BSD-3-Clause", "Python", 9, "main", None),
        )


def test_pages_are_read_by_key_to_the_last(host: Any, tmp_path: Path) -> None:
    for number in range(1, 251):
        host.hold_gitlab(3 * number)
    with listing(host) as gitlab, opened(tmp_path) as state:
        list_repositories(gitlab, state)
        assert listed(state) == [f"group/sub/p{3 * number}" for number in range(1, 251)]
    pages = [query for path, query, _ in host.asked if path == "/projects"]
    assert [query.get("id_after") for query in pages] == [None, "300", "600"]
    assert all(query["order_by"] == "id" and "page" not in query for query in pages)


def test_licence_language_stars_and_time_are_held_to(host: Any, tmp_path: Path) -> None:
    host.hold_gitlab(1, licence="gpl-3.0")
    host.hold_gitlab(2, licence=None)
    host.hold_gitlab(3, languages={"Python": 10.0, "C++": 90.0})
    host.hold_gitlab(4, star_count=0)
    host.hold_gitlab(5, created_at="2009-12-31T23:30:00.000Z")
    host.hold_gitlab(6, created_at="2009-12-31T23:30:00.000-01:00")
    host.hold_gitlab(7, created_at="once")
    host.hold_gitlab(8)
    with listing(host, replace(EVERYTHING, min_stars=1)) as gitlab, opened(tmp_path) as state:
        list_repositories(gitlab, state)
        assert listed(state) == ["group/sub/p6", "group/sub/p8"]


def test_forks_are_left_out_where_the_host_tells_them(host: Any, tmp_path: Path) -> None:
    host.hold_gitlab(1, forked_from_project={"id": 2})
    host.hold_gitlab(2)
    with listing(host) as gitlab, opened(tmp_path / "with") as state:
        list_repositories(gitlab, state)
        assert listed(state) == ["group/sub/p2"]
    with listing(host, token=None) as gitlab, opened(tmp_path / "without") as state:
        list_repositories(gitlab, state)
        assert listed(state) == ["group/sub/p1", "group/sub/p2"]


def test_what_is_gone_archived_or_empty_is_left_out(host: Any, tmp_path: Path) -> None:
    host.hold_gitlab(1, deleted=True)
    host.hold_gitlab(2, archived=True)
    host.hold_gitlab(3, default_branch=None)
    host.hold_gitlab(4, languages={})
    with listing(host) as gitlab, opened(tmp_path) as state:
        list_repositories(gitlab, state)
        assert listed(state) == []


def test_an_unknown_form_is_an_error(host: Any) -> None:
    host.say(200, body="{}")
    with listing(host) as gitlab, pytest.raises(IncoderError, match="an answer of unknown form"):
        gitlab.take(gitlab.first_steps()[0])


@pytest.mark.parametrize(
    "num_answered", [1, 203, *(pytest.param(one, marks=pytest.mark.slow) for one in (0, 2, 50))]
)
def test_a_listing_that_was_killed_goes_on_to_the_same_end(
    host: Any, tmp_path: Path, num_answered: int
) -> None:
    for number in range(1, 131):
        host.hold_gitlab(number)
    host.instead = [None] * num_answered
    host.say(401)
    with pytest.raises(IncoderError), listing(host) as gitlab, opened(tmp_path) as state:
        list_repositories(gitlab, state)
    with listing(host) as gitlab, opened(tmp_path) as state:
        list_repositories(gitlab, state)
        assert sorted(map(str, listed(state))) == sorted(f"group/sub/p{n}" for n in range(1, 131))
    # Two pages and two requests a project; at most one project is asked for twice.
    assert len(host.asked) <= 2 + 2 * 130 + 2
