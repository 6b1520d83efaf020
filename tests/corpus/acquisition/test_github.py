import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incoder.corpus.acquisition.api import Api
from incoder.corpus.acquisition.fetch_folder import opened
from incoder.corpus.acquisition.github import GitHubListing
from incoder.corpus.acquisition.host_listing import Wanted, as_second, list_repositories
from incoder.corpus.acquisition.repository import Repository
from incoder.corpus.acquisition.state import State
from incoder.errors import IncoderError

EVERYTHING = Wanted(("Python",), ("MIT",), 0, "2010-01-01T00:00:00Z", "2029-12-31T23:59:59Z")


@contextmanager
def listing(host: Any, wanted: Wanted = EVERYTHING) -> Iterator[GitHubListing]:
    with Api(host.url, {}, sleep=lambda _: None) as api:
        yield GitHubListing(api, wanted)


def listed(state: State) -> set[object]:
    return {row["repo"] for row in state.rows()}


def hold_many(host: Any, number: int, seconds: int) -> set[str]:
    """Hold repositories created at random within so many seconds, mostly near their start."""
    draw = random.Random(number)
    start = datetime(2015, 6, 1, tzinfo=UTC)
    for index in range(number):
        created = start + timedelta(seconds=int(seconds * draw.random() ** 3))
        host.hold_github(f"owner/r{index}", created_at=as_second(created))
    return {f"owner/r{index}" for index in range(number)}


def test_a_repository_is_listed_with_what_the_host_knows(host: Any, tmp_path: Path) -> None:
    host.hold_github("a/b", stargazers_count=7, default_branch="trunk")
    with listing(host) as github, opened(tmp_path) as state:
        list_repositories(github, state)
        assert state.next_listed(0) == (
            1,
            Repository("github", "a/b", "https://github.com/a/b.git", "MIT", "Python", 7, "trunk", None),
        )


def test_all_of_a_query_beyond_a_thousand_are_found(host: Any, tmp_path: Path) -> None:
    names = hold_many(host, 3_300, seconds=100_000_000)
    with listing(host) as github, opened(tmp_path) as state:
        list_repositories(github, state)
        assert listed(state) == names
    assert all(int(query["page"]) <= 10 for _, query, _ in host.asked)


def test_of_one_second_no_more_than_the_host_shows_are_found(host: Any, tmp_path: Path) -> None:
    hold_many(host, 1_100, seconds=1)
    with listing(host) as github, opened(tmp_path) as state:
        list_repositories(github, state)
        assert len(listed(state)) == 1_000


def test_each_language_and_licence_is_asked_for(host: Any, tmp_path: Path) -> None:
    host.hold_github("a/one", language="Jupyter Notebook", licence="BSD-2-Clause")
    host.hold_github("a/two", language="JavaScript", licence="Apache-2.0")
    host.hold_github("a/three", language="JavaScript", licence="GPL-3.0")
    host.hold_github("a/four", language="Ruby", licence="MIT")
    wanted = Wanted(
        ("Python", "JavaScript", "Jupyter Notebook"),
        ("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause"),
        0,
        EVERYTHING.first,
        EVERYTHING.last,
    )
    with listing(host, wanted) as github, opened(tmp_path) as state:
        list_repositories(github, state)
        assert listed(state) == {"a/one", "a/two"}
    assert len({query["q"] for _, query, _ in host.asked}) == 12
    assert all("fork:false archived:false" in query["q"] for _, query, _ in host.asked)


def test_stars_and_time_bound_the_search(host: Any, tmp_path: Path) -> None:
    host.hold_github("a/few", stargazers_count=4)
    host.hold_github("a/many", stargazers_count=5)
    host.hold_github("a/old", stargazers_count=9, created_at="2014-12-31T23:59:59Z")
    wanted = Wanted(("Python",), ("MIT",), 5, "2015-01-01T00:00:00Z", "2025-01-01T00:00:00Z")
    with listing(host, wanted) as github, opened(tmp_path) as state:
        list_repositories(github, state)
        assert listed(state) == {"a/many"}


def test_incomplete_results_are_asked_for_again(host: Any, tmp_path: Path) -> None:
    names = hold_many(host, 150, seconds=100)
    host.incomplete = 3
    with listing(host) as github, opened(tmp_path) as state:
        list_repositories(github, state)
        assert listed(state) == names


def test_what_stays_incomplete_is_cut(host: Any, tmp_path: Path) -> None:
    names = hold_many(host, 90, seconds=300_000_000)
    host.incomplete = 6
    with listing(host) as github, opened(tmp_path) as state:
        list_repositories(github, state)
        assert listed(state) == names
    assert len({query["q"] for _, query, _ in host.asked}) == 3


def test_a_second_that_stays_incomplete_is_taken_as_it_is(host: Any, tmp_path: Path) -> None:
    hold_many(host, 90, seconds=1)
    host.incomplete = 10_000
    wanted = replace(EVERYTHING, first="2015-06-01T00:00:00Z", last="2015-06-01T00:00:00Z")
    with listing(host, wanted) as github, opened(tmp_path) as state:
        list_repositories(github, state)
        assert len(listed(state)) == 45


def test_forks_and_what_is_no_repository_are_left_out(host: Any, tmp_path: Path) -> None:
    host.hold_github("a/fork", fork=True)
    host.hold_github("a/../../b")
    host.hold_github("a/option", default_branch="--upload-pack=x")
    host.hold_github("a/program", clone_url="ext::sh -c true")
    host.hold_github("a/good", stargazers_count=None)
    host.github[-1]["stargazers_count"] = 0
    with listing(host) as github, opened(tmp_path) as state:
        list_repositories(github, state)
        assert listed(state) == {"a/good"}


def test_an_unknown_form_is_an_error(host: Any) -> None:
    host.say(200, body="[]")
    with listing(host) as github, pytest.raises(IncoderError, match="an answer of unknown form"):
        github.take(github.first_steps()[0])


@pytest.mark.parametrize("num_answered", [0, 1, 5, 11, 23, 40])
def test_a_listing_that_was_killed_goes_on_to_the_same_end(
    host: Any, tmp_path: Path, num_answered: int
) -> None:
    names = hold_many(host, 2_200, seconds=1_000_000)
    host.instead = [None] * num_answered
    host.say(401)
    with pytest.raises(IncoderError), listing(host) as github, opened(tmp_path) as state:
        list_repositories(github, state)
    before = len(host.asked)
    with listing(host) as github, opened(tmp_path) as state:
        list_repositories(github, state)
        assert listed(state) == names
        num_all = len(host.asked) - before
        list_repositories(github, state)  # which asks nothing more
    assert len(host.asked) == before + num_all
    if num_answered == 40:
        assert num_all < before


def test_enough_is_enough(host: Any, tmp_path: Path) -> None:
    names = hold_many(host, 1_500, seconds=1_000_000)
    with listing(host) as github, opened(tmp_path) as state:
        list_repositories(github, state, max_repositories=10)
        assert len(listed(state)) == 10
        list_repositories(github, state, max_repositories=700)
        assert len(listed(state)) == 700
        list_repositories(github, state)
        assert listed(state) == names
