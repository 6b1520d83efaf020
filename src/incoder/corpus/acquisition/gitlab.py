"""GitLab's projects by its REST API: page by page, then one by one for the licence and the language.

The list of projects contains neither; a project's own page does (docs.gitlab.com/api/projects). A step of the
listing is a page or a project. GitLab says only with a token whether a project is a fork.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from incoder.corpus.acquisition.api import Api, NotFoundError
from incoder.corpus.acquisition.host_listing import Found, Wanted, as_second
from incoder.corpus.acquisition.repository import Repository
from incoder.errors import IncoderError

API = "https://gitlab.com/api/v4"
FIRST_SECOND = "2011-10-01T00:00:00Z"  # GitLab's first commit


def headers(token: str | None) -> dict[str, str]:
    """The headers of every request to GitLab's API.

    The API also accepts a private-token header, but that one would follow a redirect to another host.
    """
    return {"authorization": f"Bearer {token}"} if token else {}


class GitLabListing:
    """Lists public projects that are neither archived nor empty nor known to be forks."""

    def __init__(self, api: Api, wanted: Wanted) -> None:
        self._api, self._wanted = api, wanted
        self._licences = {licence.lower(): licence for licence in wanted.licences}

    def first_steps(self) -> list[str]:
        """The first page of each language."""
        return [_page_step(language, {}) for language in self._wanted.languages]

    def take(self, step: str) -> Found:
        """A page leads to its projects and the next page, a project to at most one repository."""
        fields = json.loads(step)
        if "page" in fields:
            return self._take_page(fields["language"], fields["page"])
        repository = self._repository(fields["language"], fields["project"])
        return Found([repository] if repository else [])

    def _take_page(self, language: str, page: Mapping[str, str]) -> Found:
        first = {
            "pagination": "keyset",
            "order_by": "id",
            "sort": "asc",
            "per_page": "100",
            "visibility": "public",
            "archived": "false",
            "with_programming_language": language,
        }
        answer = self._api.get("/projects", {**first, **page})
        if not isinstance(answer.content, list):
            raise IncoderError(
                "GitLab's API returned an answer of unknown form; update incoder, or report this"
            )
        then = [
            json.dumps({"language": language, "project": project["id"]})
            for project in answer.content
            if self._may_be_wanted(project)
        ]
        if answer.next_page is not None:
            then.append(_page_step(language, answer.next_page))
        return Found([], then)

    def _may_be_wanted(self, project: Any) -> bool:
        """Whether the list does not rule a project out already: that saves requests for single projects."""
        if not isinstance(project, Mapping) or not isinstance(project.get("id"), int):
            return False
        if project.get("archived") or project.get("empty_repo") or project.get("forked_from_project"):
            return False
        try:
            created = as_second(datetime.fromisoformat(str(project.get("created_at"))))
        except ValueError:
            return False
        in_time = self._wanted.first <= created <= self._wanted.last
        return in_time and (project.get("star_count") or 0) >= self._wanted.min_stars

    def _repository(self, language: str, number: int) -> Repository | None:
        try:
            project = self._api.get(f"/projects/{number}", {"license": "true"}).content
            if not _is_complete(project) or project.get("forked_from_project"):
                return None
            licence = self._licences.get(str((project.get("license") or {}).get("key")).lower())
            if licence is None:
                return None
            shares = self._api.get(f"/projects/{number}/languages", {}).content
        except NotFoundError:  # deleted or made private since the page was read
            return None
        if not isinstance(shares, Mapping) or not shares or max(shares, key=shares.__getitem__) != language:
            return None
        return Repository(
            source="gitlab",
            repo=project["path_with_namespace"],
            url=project["http_url_to_repo"],
            licence=licence,
            language=language,
            stars=project["star_count"],
            branch=project["default_branch"],
        )


def _is_complete(project: Any) -> bool:
    """Whether the project has all fields that are read; an empty repository has no default branch."""
    texts = ("path_with_namespace", "http_url_to_repo", "default_branch")
    return (
        isinstance(project, Mapping)
        and all(isinstance(project.get(name), str) for name in texts)
        and isinstance(project.get("star_count"), int)
    )


def _page_step(language: str, page: Mapping[str, str]) -> str:
    return json.dumps({"language": language, "page": dict(page)})
