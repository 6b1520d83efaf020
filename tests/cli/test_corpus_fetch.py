import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pyarrow import parquet

RunCli = Callable[..., Any]

TOKEN = "s3cret-t0ken"


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """The URL of a repository with one file."""
    folder = tmp_path / "host" / "r.git"
    folder.mkdir(parents=True)
    stream = (
        "commit refs/heads/main\ncommitter A <a@example.org> 0 +0000\ndata 0\n"
        "M 100644 inline a.py\ndata 6\nx = 1\n\nM 100644 inline b.txt\ndata 2\nb\n\n"
    )
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for words in (["init", "--quiet", "--bare", "--initial-branch=main"], ["fast-import", "--quiet"]):
        subprocess.run(["git", "-C", folder, *words], input=stream.encode(), check=True, env=environment)
    return folder.as_uri()


@pytest.fixture
def api(repository: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The URL of an API with that repository, as GitHub and as GitLab, and the headers that it was sent."""
    github = {
        "full_name": "a/b",
        "fork": False,
        "language": "Python",
        "license": {"spdx_id": "MIT"},
        "stargazers_count": 3,
        "default_branch": "main",
        "clone_url": repository,
    }
    project = {
        "id": 1,
        "path_with_namespace": "a/b",
        "http_url_to_repo": repository,
        "default_branch": "main",
        "star_count": 3,
        "created_at": "2020-01-01T00:00:00.000Z",
        "license": {"key": "mit"},
    }
    sent: list[dict[str, str]] = []

    def answer(path: str, query: dict[str, list[str]]) -> Any:
        if path == "/search/repositories":
            items = [github] if 'language:"Python" license:mit' in query["q"][0] else []
            return {"total_count": len(items), "incomplete_results": False, "items": items}
        if path == "/projects":
            return [project] if query["with_programming_language"] == ["Python"] else []
        return {"Python": 100.0} if path.endswith("/languages") else project

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent.append({name.lower(): value for name, value in self.headers.items()})
            parts = urlsplit(self.path)
            body = json.dumps(answer(parts.path, parse_qs(parts.query))).encode()
            self.send_response_only(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def status_of(run_cli: RunCli, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_cli("corpus", "fetch", "status", folder, "--json").stdout)
    return found


@pytest.mark.parametrize("host", ["github", "gitlab"])
def test_what_the_api_lists_is_fetched(run_cli: RunCli, api: Any, tmp_path: Path, host: str) -> None:
    out = tmp_path / "out"
    outcome = run_cli("corpus", "fetch", host, "--output", out, "--api", api[0])
    assert outcome.status == 0, outcome.stderr
    assert outcome.stdout == b""
    assert f"1 of them fetched: 2 files, 8 bytes, in {out / 'files'}" in outcome.stderr
    (row,) = parquet.read_table(out / "manifest.parquet").to_pylist()
    assert (row["repo"], row["source"], row["licence"], row["stars"], row["branch"], row["outcome"]) == (
        "a/b",
        host,
        "MIT",
        3,
        "main",
        "fetched",
    )
    assert len(row["commit"]) == 40
    files = parquet.read_table(out / "files" / "part-000001.parquet").to_pylist()
    assert [(file["path"], file["content"]) for file in files] == [("a.py", b"x = 1\n"), ("b.txt", b"b\n")]


def test_listing_alone_fetches_nothing_and_the_same_command_goes_on(
    run_cli: RunCli, api: Any, tmp_path: Path
) -> None:
    command = ("corpus", "fetch", "github", "--output", tmp_path, "--api", api[0], "--ext", "py")
    run_cli(*command, "--list-only")
    assert status_of(run_cli, tmp_path)["num_waiting"] == 1
    num_asked = len(api[1])
    assert run_cli(*command).status == 0
    assert len(api[1]) == num_asked
    found = status_of(run_cli, tmp_path)
    assert (found["num_fetched"], found["num_files"], found["left_out"]) == (
        1,
        1,
        {"other extension": {"num_files": 1, "num_bytes": 0}},
    )


@pytest.mark.parametrize("source", ["option", "environment"])
@pytest.mark.parametrize("host", ["github", "gitlab"])
def test_a_token_goes_to_the_api_and_nowhere_else(
    run_cli: RunCli, api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, source: str
) -> None:
    command = ["corpus", "fetch", host, "--output", str(tmp_path / "out"), "--api", api[0]]
    if source == "option":
        command += ["--token", f" {TOKEN}\n"]
    else:
        monkeypatch.setenv(f"{host.upper()}_TOKEN", TOKEN)
    outcome = run_cli(*command)
    assert outcome.status == 0
    assert all(headers["authorization"] == f"Bearer {TOKEN}" for headers in api[1])
    assert TOKEN not in outcome.stderr
    assert TOKEN not in run_cli("corpus", "fetch", host, "--help").stdout.decode()
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_a_token_that_can_be_none_is_refused_without_showing_it(
    run_cli: RunCli, api: Any, tmp_path: Path
) -> None:
    command = ("corpus", "fetch", "github", "--output", tmp_path, "--api", api[0])
    outcome = run_cli(*command, "--token", f"{TOKEN}\r\nX-Header: 1")
    assert outcome.status == 1
    assert "the token holds characters that no token has" in outcome.stderr
    assert TOKEN not in outcome.stderr


def test_a_list_is_fetched_and_what_fails_is_named_and_tried_again(
    run_cli: RunCli, repository: str, tmp_path: Path
) -> None:
    table = tmp_path / "repos.csv"
    later = tmp_path / "host" / "later.git"
    table.write_text(f"repo,url,stars\na/b,{repository},5\na/later,{later.as_uri()},1\nbroken\n")
    command = ("corpus", "fetch", "github", "--output", tmp_path / "out", "--repos", table)
    outcome = run_cli(*command)
    assert outcome.status == 0
    assert "left out 1 rows: another number of fields than the header (line 4)" in outcome.stderr
    assert "1 failed (1 gone or private); all reasons: incoder corpus fetch status" in outcome.stderr
    text = run_cli("corpus", "fetch", "status", tmp_path / "out").stdout.decode()
    assert "gone or private" in text
    assert "a/later" in text
    Path(repository.removeprefix("file://")).rename(later)
    assert "1 failed" in run_cli(*command).stderr
    assert "failed (" not in run_cli(*command, "--retry-failed").stderr
    assert status_of(run_cli, tmp_path / "out")["num_fetched"] == 2


def test_the_folder_may_be_relative_to_the_current_one(
    run_cli: RunCli, repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("repos.csv").write_text(f"repo,url\na/b,{repository}\n")
    outcome = run_cli("corpus", "fetch", "github", "--output", "out", "--repos", "repos.csv")
    assert (outcome.status, status_of(run_cli, tmp_path / "out")["num_fetched"]) == (0, 1)


def test_a_fetch_of_which_nothing_came_has_failed(run_cli: RunCli, tmp_path: Path) -> None:
    table = tmp_path / "repos.csv"
    table.write_text(f"repo,url\na/b,{(tmp_path / 'missing.git').as_uri()}\n")
    outcome = run_cli("corpus", "fetch", "github", "--output", tmp_path / "out", "--repos", table)
    assert outcome.status == 1
    assert "1 failed (1 gone or private)" in outcome.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--repos", "missing.csv"),
        ("--repos", "no-names.csv"),
        ("--token", "two words"),
        ("--api", "ftp://example.org"),
        ("--api", "http://example.org", "--token", TOKEN),
    ],
)
def test_what_is_refused_at_the_start_leaves_no_folder(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("no-names.csv").write_text("stars\n1\n")
    outcome = run_cli("corpus", "fetch", "github", "--output", "out", *options)
    assert outcome.status == 1
    assert not Path("out").exists()


def test_a_list_is_fetched_as_it_is(run_cli: RunCli, tmp_path: Path) -> None:
    table = tmp_path / "repos.csv"
    table.write_text("repo\na/b\n")
    command = ("corpus", "fetch", "github", "--output", tmp_path / "out", "--repos", table)
    outcome = run_cli(*command, "--language", "Python")
    assert outcome.status == 2
    assert "a list is fetched as it is" in outcome.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_goes_on_only_as_it_was_begun(run_cli: RunCli, api: Any, tmp_path: Path) -> None:
    command = ("corpus", "fetch", "github", "--output", tmp_path, "--api", api[0])
    run_cli(*command, "--list-only")
    outcome = run_cli(*command, "--min-stars", "2")
    assert outcome.status == 1
    assert (
        f"{tmp_path} was begun with min_stars 0, and now min_stars is 2; continue with the settings it was "
        "begun with" in outcome.stderr
    )
    outcome = run_cli(*command)
    assert outcome.status == 0
    assert "was begun with max_file_bytes 1000000" in run_cli(*command, "--max-file-bytes", "7").stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--language", 'Py" stars:>1'), "is no name"),
        (("--created-from", "2020-01-02", "--created-to", "2020-01-01"), "is after"),
        (("--created-from", "yesterday"), "does not match the format"),
        (("--workers", "0"), "'--workers'"),
    ],
)
def test_wrong_options_are_bad_usage(
    run_cli: RunCli, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    outcome = run_cli("corpus", "fetch", "github", "--output", tmp_path / "out", *options)
    assert outcome.status == 2
    assert message in outcome.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_fetch_has_no_status(run_cli: RunCli, tmp_path: Path) -> None:
    outcome = run_cli("corpus", "fetch", "status", tmp_path)
    assert outcome.status == 1
    assert f"nothing was fetched into {tmp_path}: it has no state.sqlite" in outcome.stderr


def test_ctrl_c_ends_it_with_a_word_on_going_on(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    git = tmp_path / "bin" / "git"
    # It sleeps first, so that the signal does not come while Python is still starting it.
    git.write_text(f"#!/bin/sh\nsleep 0.5\ntouch {tmp_path}/started\nsleep 100\n")
    git.chmod(0o755)
    table = tmp_path / "repos.csv"
    table.write_text("repo\na/b\n")
    options = ["--output", str(tmp_path / "out"), "--repos", str(table)]
    command = [sys.executable, "-m", "incoder", "corpus", "fetch", "github", *options]
    environment = {**os.environ, "PATH": f"{git.parent}:{os.environ['PATH']}"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "started").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == "stopped; the same command continues\n"
    (row,) = parquet.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert row["outcome"] == "listed"
