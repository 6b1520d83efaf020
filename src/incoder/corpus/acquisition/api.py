"""Requests to a host's API: within its rate limits, and repeated after its errors.

A path and parameters go in; the decoded JSON and the parameters of the next page come out. This file knows
how hosts state their limits (GitHub: x-ratelimit-*, 403 or 429; GitLab: ratelimit-*, 429; both: retry-after)
and nothing about repositories. The token is sent in a header and nowhere else.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

from incoder.errors import IncoderError
from incoder.extras import missing_extra

if TYPE_CHECKING:
    import httpx

OnWait = Callable[[float, str], None]

_TIMEOUT_SECONDS = 60.0
_MAX_STUMBLES = 8  # consecutive failures; with doubling pauses they take four minutes
_MAX_PAUSE_SECONDS = 60.0
_MAX_REFUSALS = 10  # consecutive refusals for the rate limit
_UNSTATED_WAIT_SECONDS = 60.0  # GitHub's page on rate limits: "wait for at least one minute"
_RATE_LIMIT_PHRASES = ("rate limit", "abuse detection")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the API: decoded JSON, and the parameters of the next page if there is one."""

    content: Any
    next_page: Mapping[str, str] | None


class NotFoundError(Exception):
    """The host has nothing under this path, or no longer."""


class Api:
    """A connection to one API.

    Args:
        base_url: such as https://api.github.com.
        headers: sent with every request; the token among them.
        on_wait: called before each wait, with its seconds and the reason.
        sleep: the function that waits; tests pass another one.

    Raises:
        IncoderError: httpx is missing, or a token would be sent unencrypted.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        on_wait: OnWait = lambda _seconds, _why: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._httpx = _httpx()
        self._base_url = base_url.rstrip("/")
        check_url(self._base_url, {name.lower() for name in headers})
        self._headers = {"user-agent": "incoder", **headers}
        self._on_wait, self._sleep = on_wait, sleep
        self._rest_seconds = 0.0  # to wait before the next request, because the last one used up the limit

    def __enter__(self) -> Self:
        self._client = self._httpx.Client(
            headers=self._headers, timeout=_TIMEOUT_SECONDS, follow_redirects=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, parameters: Mapping[str, str]) -> Answer:
        """Return the answer to GET `path`.

        Raises:
            NotFoundError: the host says 404.
            IncoderError: the host refuses for another reason than a rate limit, or goes on failing.
        """
        stumbles = refusals = 0
        while True:
            if self._rest_seconds:
                self.wait(self._rest_seconds, "the rate limit")
            response, stumble = self._ask(path, parameters)
            if response is None or response.status_code >= 500:
                stumbles += 1
                if stumbles > _MAX_STUMBLES:
                    raise IncoderError(f"{self._base_url}{path} failed {stumbles} times; the last: {stumble}")
                seconds = _retry_after(response) or min(2.0 ** (stumbles - 1), _MAX_PAUSE_SECONDS)
                self.wait(seconds, stumble)
            elif _is_rate_limited(response):
                refusals += 1
                if refusals > _MAX_REFUSALS:
                    raise IncoderError(
                        f"{self._base_url} still refuses requests for its rate limit: {_message(response)}"
                    )
                stated = _retry_after(response) or _until_reset(response)
                self.wait(stated or _UNSTATED_WAIT_SECONDS * 2 ** (refusals - 1), "the rate limit")
            elif response.status_code == 200:
                try:
                    content = response.json()
                except ValueError:
                    stumbles += 1
                    if stumbles > _MAX_STUMBLES:
                        raise IncoderError(f"{self._base_url}{path} does not answer in JSON") from None
                    self.wait(min(2.0 ** (stumbles - 1), _MAX_PAUSE_SECONDS), "an answer that is no JSON")
                    continue
                self._rest_seconds = _until_reset(response)
                return Answer(content, _next_page(response))
            else:
                raise self._refused(response, path)

    def _ask(self, path: str, parameters: Mapping[str, str]) -> "tuple[httpx.Response | None, str]":
        """Return the response, or None without one, and a description for messages about failures."""
        try:
            response = self._client.get(self._base_url + path, params=dict(parameters))
        except (self._httpx.TransportError, self._httpx.DecodingError) as error:
            return None, f"{type(error).__name__}: {error}"
        return response, f"status {response.status_code}"

    def wait(self, seconds: float, why: str) -> None:
        """Send nothing for this many seconds."""
        self._on_wait(seconds, why)
        self._sleep(seconds)
        self._rest_seconds = 0.0

    def _refused(self, response: "httpx.Response", path: str) -> Exception:
        if response.status_code == 404:
            return NotFoundError(path)
        remedy = {
            401: "; is the token right and still valid?",
            403: "; does the token allow it?",
        }.get(response.status_code, "")
        return IncoderError(
            f"{self._base_url}{path} answered {response.status_code}: {_message(response)}{remedy}"
        )


def _is_rate_limited(response: "httpx.Response") -> bool:
    if response.status_code == 429:
        return True
    return response.status_code == 403 and (
        "retry-after" in response.headers
        or _remaining(response) == 0
        or any(phrase in _message(response).lower() for phrase in _RATE_LIMIT_PHRASES)
    )


def _retry_after(response: "httpx.Response | None") -> float:
    """Seconds that the host asks us to wait, stated as a number or as a date; 0 if it states none."""
    stated = response.headers.get("retry-after", "") if response is not None else ""
    if response is None or not stated:
        return 0.0
    try:
        return max(float(stated), 1.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(stated) - _host_time(response)).total_seconds(), 1.0)
    except (ValueError, TypeError):
        return 0.0


def _until_reset(response: "httpx.Response") -> float:
    """Seconds until the limit is reset; 0 if it is not used up."""
    if _remaining(response) != 0:
        return 0.0
    try:
        reset = float(_limit_header(response, "reset") or "")
    except ValueError:
        return 0.0
    return max(reset - _host_time(response).timestamp() + 1.0, 1.0)  # both are whole seconds


def _remaining(response: "httpx.Response") -> int | None:
    stated = _limit_header(response, "remaining")
    return int(stated) if stated is not None and stated.isdecimal() else None


def _limit_header(response: "httpx.Response", name: str) -> str | None:
    found: str | None = response.headers.get(f"x-ratelimit-{name}") or response.headers.get(
        f"ratelimit-{name}"
    )
    return found


def _host_time(response: "httpx.Response") -> datetime:
    """The time by the host's clock, to which its times refer; our clock may be wrong."""
    try:
        return parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError, TypeError):
        return datetime.now(UTC)


def _next_page(response: "httpx.Response") -> Mapping[str, str] | None:
    """The parameters of the next page; a link's host is ignored, or it could send the token elsewhere."""
    link = response.links.get("next")
    return dict(parse_qsl(urlsplit(link["url"]).query)) if link and "url" in link else None


def _message(response: "httpx.Response") -> str:
    """The host's message about a refusal, in one line."""
    try:
        content = response.json()
    except ValueError:
        return response.reason_phrase
    said = content.get("message") or content.get("error") if isinstance(content, dict) else None
    line = " ".join(str(said or response.reason_phrase).split())
    return "".join(character for character in line if character.isprintable())[:300]


def check_url(base_url: str, header_names: Collection[str]) -> None:
    """Check that a URL can be an API's, and that no token would be sent to it unencrypted.

    Raises:
        IncoderError: it cannot, or a token would be.

    >>> check_url("https://api.github.com", {"authorization"})
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise IncoderError(f"an API must be an https URL such as https://api.github.com, got {base_url}")
    is_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme == "http" and not is_here and "authorization" in header_names:
        raise IncoderError(f"a token would be sent unencrypted to {base_url}; use https")


def _httpx() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise missing_extra("asking an API needs httpx", "corpus") from error
    return httpx
