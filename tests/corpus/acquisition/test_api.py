import json
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from incoder.corpus.acquisition import github, gitlab
from incoder.corpus.acquisition.api import Answer, Api, NotFoundError
from incoder.errors import IncoderError

SEARCH = (
    "/search/repositories",
    {"q": "language:Python license:mit created:2..3", "per_page": "1", "page": "1"},
)


def ask(host: Any, **headers: str) -> tuple[Answer, list[float]]:
    """The answer, and for how long was waited before it."""
    waits: list[float] = []
    with Api(host.url, headers, sleep=waits.append) as api:
        return api.get(*SEARCH), waits


def test_an_answer_is_decoded_without_waiting(host: Any) -> None:
    answer, waits = ask(host)
    assert answer.content == {"total_count": 0, "incomplete_results": False, "items": []}
    assert waits == []


@pytest.mark.parametrize("status", [403, 429, 502])
def test_it_waits_as_long_as_the_host_asks(host: Any, status: int) -> None:
    host.say(status, {"retry-after": "37"})
    assert ask(host)[1] == [37.0]


def test_a_date_to_wait_for_is_understood_by_the_hosts_clock(host: Any) -> None:
    then = formatdate(host.time + 90, usegmt=True)
    host.say(429, {"retry-after": then, "date": formatdate(host.time, usegmt=True)})
    assert ask(host)[1] == [90.0]


@pytest.mark.parametrize("prefix", ["x-ratelimit", "ratelimit"])
def test_it_waits_until_the_limit_is_filled_again_by_the_hosts_clock(host: Any, prefix: str) -> None:
    host.say(
        403 if prefix.startswith("x") else 429,
        {
            f"{prefix}-remaining": "0",
            f"{prefix}-reset": str(int(host.time) + 20),
            "date": formatdate(host.time, usegmt=True),
        },
    )
    assert ask(host)[1] == [pytest.approx(20.0, abs=1.0)]


def test_after_the_last_request_of_a_limit_the_next_one_waits(host: Any) -> None:
    host.remaining = [1, 0, 29]
    waits: list[float] = []
    with Api(host.url, {}, sleep=waits.append) as api:
        api.get(*SEARCH)
        api.get(*SEARCH)
        assert waits == []
        api.get(*SEARCH)
    assert waits == [pytest.approx(40.0, abs=1.0)]


def test_a_secondary_limit_without_a_time_waits_a_minute_then_longer(host: Any) -> None:
    body = json.dumps({"message": "You have exceeded a secondary rate limit. Please wait."})
    host.say(403, {"x-ratelimit-remaining": "12"}, body)
    host.say(403, {"x-ratelimit-remaining": "12"}, body)
    assert ask(host)[1] == [60.0, 120.0]


def test_a_limit_that_never_ends_is_an_error(host: Any) -> None:
    for _ in range(11):
        host.say(429, {"retry-after": "1"}, '{"message": "slow down"}')
    with pytest.raises(IncoderError, match="still refuses requests for its rate limit: slow down"):
        ask(host)


def test_a_failing_host_is_asked_again_after_doubling_pauses(host: Any) -> None:
    host.say(500)
    host.say(0)  # the connection breaks off
    host.say(200, body="<html>")
    assert ask(host)[1] == [1.0, 2.0, 4.0]


def test_a_host_that_goes_on_failing_is_an_error(host: Any) -> None:
    for _ in range(9):
        host.say(503)
    with pytest.raises(IncoderError, match=r"/search/repositories failed 9 times; the last: status 503"):
        ask(host)


def test_a_host_that_is_not_there_is_an_error() -> None:
    with (
        Api("http://127.0.0.1:9", {}, sleep=lambda _: None) as api,
        pytest.raises(IncoderError, match="failed 9"),
    ):
        api.get("/x", {})


def test_what_is_not_there_is_told_apart(host: Any) -> None:
    with Api(host.url, {}) as api, pytest.raises(NotFoundError):
        api.get("/projects/1", {})


def test_a_refusal_says_what_the_host_said_and_not_the_token(host: Any) -> None:
    host.say(401, body='{"message": "Bad\\ncredentials\\u001b[31m"}')
    with pytest.raises(IncoderError, match=r"401: Bad credentials\[31m; is the token right") as info:
        ask(host, authorization="Bearer s3cret")
    assert host.asked[0][2]["authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(info.value)


def test_a_refusal_that_is_no_rate_limit_is_not_waited_for(host: Any) -> None:
    host.say(403, {"x-ratelimit-remaining": "9"}, '{"message": "Resource not accessible"}')
    with pytest.raises(IncoderError, match="403: Resource not accessible; does the token allow it"):
        ask(host)


def test_a_token_is_not_sent_in_the_clear() -> None:
    with pytest.raises(IncoderError, match=r"unencrypted to http://git\.example\.org; use https"):
        Api("http://git.example.org", {"Authorization": "Bearer s3cret"})
    with pytest.raises(IncoderError, match="an API must be an https URL"):
        Api("git.example.org", {})


@pytest.mark.parametrize("headers", [github.headers, gitlab.headers])
def test_a_redirect_to_another_host_does_not_get_the_token(
    host: Any, headers: Callable[[str], dict[str, str]]
) -> None:
    elsewhere = host.url.replace("127.0.0.1", "localhost")
    host.say(302, {"location": f"{elsewhere}/moved"})
    with Api(host.url, headers("s3cret")) as api, pytest.raises(NotFoundError):
        api.get("/projects", {})
    assert "s3cret" in json.dumps(host.asked[0][2])
    assert "s3cret" not in json.dumps(host.asked[1][2])
