"""GitHub's repositories by its search, which shows only the first 1,000 results of a query.

A query is therefore restricted to a range of creation times, which is halved until its results fit
(docs.github.com/rest/search). One step of the listing is one such part: a language, a licence, and the first
and last second.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from incoder.corpus.acquisition.api import Api
from incoder.corpus.acquisition.host_listing import Found, Wanted, as_second
from incoder.corpus.acquisition.repository import Repository, default_url
from incoder.errors import IncoderError

API = "https://api.github.com"
FIRST_SECOND = "2007-10-01T00:00:00Z"  # a few days before GitHub's first repository

_MAX_RESULTS = 1000
_PER_PAGE = 100
_MAX_ASKS = 4  # for a part whose results were incomplete, before it is halved
_PAUSE_SECONDS = 5.0
_SECOND = timedelta(seconds=1)
_SHORT = timedelta(days=1)


def headers(token: str | None) -> dict[str, str]:
    """The headers of every request to GitHub's API."""
    accept = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
    return {**accept, "authorization": f"Bearer {token}"} if token else accept


class GitHubListing:
    """Lists repositories that are neither forks nor archived; GitHub detected licence and language."""

    def __init__(self, api: Api, wanted: Wanted) -> None:
        self._api, self._wanted = api, wanted

    def first_steps(self) -> list[str]:
        """One step for each language and licence, over the whole time."""
        return [
            _Part(language, licence, self._wanted.first, self._wanted.last).as_step()
            for language in self._wanted.languages
            for licence in self._wanted.licences
        ]

    def take(self, step: str) -> Found:
        """The repositories of a part; if there are too many, its halves as further steps."""
        part = _Part(**json.loads(step))
        for ask in range(_MAX_ASKS):
            if ask:
                self._api.wait(_PAUSE_SECONDS, "incomplete results")
            results = self._results(part)
            if results.is_whole or (results.total > _MAX_RESULTS and part.halves()):
                break
        if part.halves() and (results.total > _MAX_RESULTS or (results.timed_out and part.is_long())):
            return Found([], [half.as_step() for half in part.halves()])
        return Found(results.repositories)

    def _results(self, part: "_Part") -> "_Results":
        """All pages of a part, or only the first if there are too many results to see them all."""
        found: dict[str, Repository] = {}
        total, num_items, timed_out = 0, 0, False
        for page in range(1, _MAX_RESULTS // _PER_PAGE + 1):
            parameters = {
                "q": part.query(self._wanted.min_stars),
                "per_page": str(_PER_PAGE),
                "page": str(page),
            }
            content = self._api.get("/search/repositories", parameters).content
            if not isinstance(content, dict) or not isinstance(content.get("total_count"), int):
                raise IncoderError(
                    "GitHub's search returned an answer of unknown form; update incoder, or report this"
                )
            items = content.get("items") or []
            total = max(total, content["total_count"])
            timed_out |= bool(content.get("incomplete_results"))
            num_items += len(items)
            for item in items:
                if (repository := _repository(item, part)) is not None:
                    found[repository.repo] = repository
            if num_items >= total or not items or (part.halves() and (total > _MAX_RESULTS or timed_out)):
                break
        is_whole = not timed_out and num_items >= min(total, _MAX_RESULTS)
        return _Results(list(found.values()), total, timed_out, is_whole)


@dataclass(frozen=True, slots=True)
class _Results:
    repositories: list[Repository]
    total: int
    timed_out: bool
    is_whole: bool


@dataclass(frozen=True, slots=True)
class _Part:
    language: str
    licence: str
    first: str
    last: str

    def as_step(self) -> str:
        return json.dumps(asdict(self))

    def query(self, min_stars: int) -> str:
        stars = f" stars:>={min_stars}" if min_stars else ""
        return (
            f'language:"{self.language}" license:{self.licence.lower()} fork:false archived:false{stars}'
            f" created:{self.first}..{self.last}"
        )

    def is_long(self) -> bool:
        """Whether a search of half the range could finish where this one ran out of time."""
        return datetime.fromisoformat(self.last) - datetime.fromisoformat(self.first) > _SHORT

    def halves(self) -> list["_Part"]:
        """Both halves of the range; none if it is a single second."""
        first, last = datetime.fromisoformat(self.first), datetime.fromisoformat(self.last)
        if first >= last:
            return []
        middle = first + (last - first) // _SECOND // 2 * _SECOND
        return [
            _Part(self.language, self.licence, self.first, as_second(middle)),
            _Part(self.language, self.licence, as_second(middle + _SECOND), self.last),
        ]


def _repository(item: Any, part: _Part) -> Repository | None:
    """The repository of a result; None for a fork, without a name, or with another licence."""
    if not isinstance(item, Mapping) or item.get("fork") or not isinstance(item.get("full_name"), str):
        return None
    licence = (item.get("license") or {}).get("spdx_id")
    if not isinstance(licence, str) or licence.lower() != part.licence.lower():
        return None
    stars = item.get("stargazers_count")
    return Repository(
        source="github",
        repo=item["full_name"],
        url=item.get("clone_url") or default_url("github", item["full_name"]),
        licence=licence,
        language=item.get("language") or part.language,
        stars=stars if isinstance(stars, int) else None,
        branch=item.get("default_branch"),
    )
