"""git over HTTP as hosts speak it: `git http-backend` behind a small server."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from incoder.corpus.acquisition.blobs import FileLimits, LeftOut, read_files
from incoder.corpus.acquisition.bounded_process import FetchError
from incoder.corpus.acquisition.git import Git
from incoder.corpus.acquisition.repository import Repository

MakeRepository = Callable[..., str]


@pytest.fixture
def http_host(tmp_path: Path) -> Iterator[str]:
    """The URL of the repositories in `tmp_path`/host; old/NAME leads to NAME, as after a rename."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/old/"):
                self.send_response_only(301)
                self.send_header("location", self.path.removeprefix("/old"))
                self.end_headers()
            elif self.path.startswith("/private/"):
                self.send_response_only(401)
                self.send_header("www-authenticate", 'Basic realm="x"')
                self.end_headers()
            elif self.path.startswith("/busy/"):
                self.send_response_only(429)
                self.end_headers()
            else:
                self._run_backend()

        do_POST = do_GET

        def _run_backend(self) -> None:
            path, _, query = self.path.partition("?")
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROJECT_ROOT": str(tmp_path / "host"),
                "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("content-type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            }
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            done = subprocess.run(
                ["git", "http-backend"], input=body, capture_output=True, env=environment, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response_only(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def read(git: Git, folder: Path, url: str, branch: str | None = None) -> dict[str, bytes]:
    deadline = time.monotonic() + 30
    repository = Repository("github", "a/b", url, branch=branch)
    _, commit = git.fetch(repository, folder, deadline=deadline, max_bytes=10**8, max_file_bytes=1000)
    files = read_files(git, folder, commit, FileLimits((), 1000, 100, 10**6), LeftOut(), deadline=deadline)
    return {file.path: file.content for file in files}


@pytest.mark.parametrize("path", ["r.git", "old/r.git"])
@pytest.mark.parametrize("branch", ["main", "gone", None])
def test_a_repository_is_fetched(
    git: Git, make_repository: MakeRepository, http_host: str, tmp_path: Path, path: str, branch: str | None
) -> None:
    folder = Path(make_repository("r", {"a.py": b"x = 1\n", "large": b"y" * 1001}).removeprefix("file://"))
    subprocess.run(["git", "-C", folder, "config", "uploadpack.allowFilter", "true"], check=True)
    assert read(git, tmp_path / "clone", f"{http_host}/{path}", branch) == {"a.py": b"x = 1\n"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none.git", "gone or private"),
        ("private/r.git", "gone or private"),
        ("busy/r.git", "network: the host asks to slow down"),
        ("empty.git", "empty repository"),
    ],
)
def test_what_cannot_be_had_has_its_reason(
    git: Git, make_repository: MakeRepository, http_host: str, tmp_path: Path, path: str, reason: str
) -> None:
    make_repository("empty", {})
    with pytest.raises(FetchError, match=f"^{reason}$"):
        read(git, tmp_path / "clone", f"{http_host}/{path}", "main")
