"""A host on this machine that speaks both APIs as they are documented, and repositories made with git.

GitHub: docs.github.com/rest/search and /rest/using-the-rest-api/rate-limits-for-the-rest-api.
GitLab: docs.gitlab.com/api/projects and /api/rest (keyset pagination, rate limits).
"""

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from incoder.corpus.acquisition.git import Git

HOST_TIME = 1_900_000_000.0  # the host's clock is years ahead of ours


@dataclass(frozen=True)
class Reply:
    """What the host says in place of an answer; a status of 0 breaks the connection off."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = "{}"


@dataclass
class Host:
    """The host: what it holds, what it will say instead of an answer, and what it was asked.

    `instead` is used up one request each, None standing for the answer; `incomplete` is how many more
    searches time out.
    """

    url: str = ""
    github: list[dict[str, Any]] = field(default_factory=list)
    gitlab: list[dict[str, Any]] = field(default_factory=list)
    instead: list[Reply | None] = field(default_factory=list)
    remaining: list[int] = field(default_factory=list)
    incomplete: int = 0
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    time: float = HOST_TIME

    def say(self, status: int, headers: Mapping[str, str] | None = None, body: str = "{}") -> None:
        """Say this to the next request that nothing is planned for."""
        self.instead.append(Reply(status, headers or {}, body))

    def hold_github(self, name: str, **fields: Any) -> None:
        """Hold a repository: a result of GitHub's search, as far as it is read."""
        self.github.append(
            {
                "full_name": name,
                "fork": False,
                "language": "Python",
                "license": {"spdx_id": fields.pop("licence", "MIT")},
                "stargazers_count": 3,
                "default_branch": "main",
                "clone_url": f"https://github.com/{name}.git",
                "created_at": "2020-01-01T00:00:00Z",
                **fields,
            }
        )

    def hold_gitlab(self, number: int, **fields: Any) -> None:
        """Hold a project of GitLab with the shares of its languages, as far as it is read."""
        licence = fields.pop("licence", "mit")
        self.gitlab.append(
            {
                "id": number,
                "path_with_namespace": f"group/sub/p{number}",
                "http_url_to_repo": f"https://gitlab.com/group/sub/p{number}.git",
                "default_branch": "main",
                "star_count": 1,
                "archived": False,
                "created_at": "2020-01-01T00:00:00.000Z",
                "license": {"key": licence} if licence else None,
                "languages": {"Python": 80.0, "Shell": 20.0},
                **fields,
            }
        )

    def answer(self, path: str, query: dict[str, str], sent: dict[str, str]) -> Reply:
        self.asked.append((path, query, sent))
        if self.instead and (reply := self.instead.pop(0)) is not None:
            return reply
        headers = {"date": formatdate(HOST_TIME, usegmt=True)}
        if self.remaining:
            headers |= {
                "x-ratelimit-remaining": str(self.remaining.pop(0)),
                "x-ratelimit-reset": str(int(HOST_TIME) + 40),
            }
        if path == "/search/repositories":
            return self._search(query, headers)
        if path == "/projects":
            return self._projects(query, "authorization" in sent, headers)
        if matched := re.fullmatch(r"/projects/(\d+)(/languages)?", path):
            return self._project(int(matched[1]), bool(matched[2]), query, "authorization" in sent, headers)
        return Reply(404, headers, '{"message": "Not Found"}')

    def _search(self, query: dict[str, str], headers: dict[str, str]) -> Reply:
        words = dict(re.findall(r'(\w+):("[^"]*"|\S+)', query["q"]))
        first, last = words["created"].split("..")
        found = [
            item
            for item in self.github
            if item["language"] == words["language"].strip('"')
            and item["license"]["spdx_id"].lower() == words["license"]
            and first <= item["created_at"] <= last
            and item["stargazers_count"] >= int(words.get("stars", ">=0").removeprefix(">="))
        ]
        page, per_page = int(query["page"]), int(query["per_page"])
        if page * per_page > 1000:
            return Reply(422, headers, '{"message": "Only the first 1000 search results are available"}')
        shown, incomplete = found[(page - 1) * per_page : page * per_page], False
        if self.incomplete:
            self.incomplete -= 1
            shown, incomplete = shown[: len(shown) // 2], True
        content = {"total_count": len(found), "incomplete_results": incomplete, "items": shown}
        return Reply(200, headers, json.dumps(content))

    def _projects(self, query: dict[str, str], has_token: bool, headers: dict[str, str]) -> Reply:
        if query["pagination"] != "keyset" or query["order_by"] != "id":
            return Reply(405, headers, '{"error": "405 Method Not Allowed"}')
        after, size = int(query.get("id_after", 0)), int(query["per_page"])
        matching = [
            project
            for project in self.gitlab
            if project["id"] > after and query["with_programming_language"] in project["languages"]
        ]
        page = sorted(matching, key=lambda project: project["id"])[:size]
        if len(matching) > size:
            following = urlencode({**query, "id_after": page[-1]["id"]})
            headers["link"] = f'<{self.url}/projects?{following}>; rel="next"'
        return Reply(200, headers, json.dumps([self._shown(p, has_token, in_full=False) for p in page]))

    def _project(
        self, number: int, languages: bool, query: dict[str, str], has_token: bool, headers: dict[str, str]
    ) -> Reply:
        project = next((p for p in self.gitlab if p["id"] == number), None)
        if project is None or project.get("deleted"):
            return Reply(404, headers, '{"message": "404 Project Not Found"}')
        if languages:
            return Reply(200, headers, json.dumps(project["languages"]))
        return Reply(
            200, headers, json.dumps(self._shown(project, has_token, query.get("license") == "true"))
        )

    @staticmethod
    def _shown(project: dict[str, Any], has_token: bool, in_full: bool) -> dict[str, Any]:
        hidden = {"languages", "deleted"}
        hidden |= set() if in_full else {"license"}
        hidden |= set() if has_token else {"forked_from_project", "archived", "empty_repo"}
        return {name: value for name, value in project.items() if name not in hidden}


@pytest.fixture
def host() -> Iterator[Host]:
    """A running host without repositories."""
    there = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            reply = there.answer(parts.path, query, {k.lower(): v for k, v in self.headers.items()})
            if reply.status == 0:
                self.close_connection = True
                return
            body = reply.body.encode()
            self.send_response_only(reply.status)
            for name, value in {"content-length": str(len(body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        there.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield there
        server.shutdown()
        thread.join()


MakeRepository = Callable[..., str]

_GIT_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def run_git(folder: Path, *words: str, stdin: bytes = b"") -> str:
    done = subprocess.run(
        ["git", "-C", folder, *words], input=stdin, capture_output=True, check=True, env=_GIT_ENVIRONMENT
    )
    return done.stdout.decode().strip()


@pytest.fixture
def make_repository(tmp_path: Path) -> MakeRepository:
    """Make (or commit once more to) a bare repository with these files; returns its URL.

    A value is a content, or a pair of mode and content (a link's target; a submodule's commit).
    """

    def make(name: str, files: Mapping[bytes | str, bytes | tuple[str, bytes]], branch: str = "main") -> str:
        folder = tmp_path / "host" / f"{name}.git"
        if not folder.exists():
            folder.mkdir(parents=True)
            run_git(folder, "init", "--quiet", "--bare", f"--initial-branch={branch}")
        if files:
            run_git(folder, "fast-import", "--quiet", "--force", stdin=_stream(files, branch))
        return folder.as_uri()

    return make


def _stream(files: Mapping[bytes | str, bytes | tuple[str, bytes]], branch: str) -> bytes:
    """One commit as `git fast-import` reads it, which takes any path."""
    lines = [f"commit refs/heads/{branch}\ncommitter A <a@example.org> 0 +0000\ndata 0\n".encode()]
    for name, value in files.items():
        mode, content = value if isinstance(value, tuple) else ("100644", value)
        path = b'"' + b"".join(b"\\%03o" % byte for byte in os.fsencode(name)) + b'"'
        if mode == "160000":
            lines.append(b"M 160000 %s %s\n" % (content, path))
        else:
            lines.append(b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), path, len(content), content))
    return b"".join(lines)


@pytest.fixture
def git() -> Git:
    return Git({"PATH": os.environ["PATH"]})
