"""The doctor asks as clients do, and says in plain words what is wrong."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from incoder.cli.serve import client_settings
from incoder.errors import IncoderError
from incoder.server.doctor.checks import Doctor, Report, base_of, proxy_note, url_problem
from incoder.server.doctor.clients import CLIENTS, Client, client_names, find_client, settings_text

Answers = Mapping[str, tuple[int, Any]]
CHOICE = {"text": "a + b", "message": {"content": "a + b"}, "delta": {"content": "a + b"}}
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
COMPLETION = {"choices": [CHOICE], "usage": USAGE}
WELL: Answers = {
    "/health": (200, {"status": "ok"}),
    "/v1/models": (200, {"data": [{"id": "mini", "owned_by": "incoder"}]}),
    "/infill": (200, {"content": "a + b"}),
    "/v1/completions": (200, COMPLETION),
    "/v1/chat/completions": (200, COMPLETION),
    "/v1/fim/completions": (200, COMPLETION),
    "/api/generate": (200, {"response": "a + b"}),
}


@contextmanager
def answering(answers: Answers, asked: list[tuple[str, Any]]) -> Iterator[str]:
    """Answer each path with a status and JSON, or bytes; yield the base URL."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def answer(self, body: Any) -> None:
            asked.append((self.path, body))
            status, found = answers.get(self.path, (404, {"detail": "Not Found"}))
            data = found if isinstance(found, bytes) else json.dumps(found, separators=(",", ":")).encode()
            if body is not None and body.get("stream") and status == 200:
                data = b"data: " + data + b"\n\ndata: [DONE]\n\n"
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}"
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture
def examine() -> Iterator[Callable[..., Report]]:
    """Examines a server with these answers, by default a server on which nothing is wrong."""
    with ExitStack() as stack:

        def run(
            answers: Answers, clients: tuple[Client, ...] = CLIENTS, key: str | None = None, path: str = ""
        ) -> Report:
            base = stack.enter_context(answering({**WELL, **answers}, []))
            with Doctor(base, key, seconds=5.0) as doctor:
                return doctor.examine(clients, base + path if path else None)

        yield run


Examine = Callable[..., Report]
ZED = (find_client("zed"),)


def test_nothing_is_wrong(examine: Examine) -> None:
    report = examine({})
    assert [one.problem for one in report.clients] == [None] * len(CLIENTS)
    assert {one.answer for one in report.clients} == {"a + b"}
    assert report.is_well
    assert report.server.models == ("mini",)


def test_each_client_sends_its_own_request_with_the_served_model() -> None:
    asked: list[tuple[str, Any]] = []
    models = {"/v1/models": (200, {"data": [{"id": "own", "owned_by": "incoder"}]})}
    with answering({**WELL, **models}, asked) as base, Doctor(base) as doctor:
        doctor.examine(CLIENTS)
    sent = [(path, body) for path, body in asked if body is not None]
    assert [path for path, _ in sent] == [client.path for client in CLIENTS]
    assert "{model}" not in json.dumps(sent)
    assert dict(sent)["/v1/chat/completions"]["model"] == "own"
    zed = next(body for _, body in sent if body.get("stop") == ["<|endoftext|>"])
    assert "suffix" not in zed
    assert zed["model"] == "qwen2.5-coder:incoder"


def test_nothing_listens() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{one.getsockname()[1]}"
    with Doctor(base) as doctor:
        report = doctor.examine(CLIENTS)
    port = base.rpartition(":")[2]
    assert (
        report.server.problem
        == f"nothing listens at {base}; start the server with: incoder serve --port {port}"
    )
    assert not report.is_well
    assert all(one.settings and one.problem is None for one in report.clients)


def test_something_that_speaks_no_http_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        with Doctor(f"http://127.0.0.1:{server.getsockname()[1]}") as doctor:
            problem = doctor.server().problem
        thread.join()
    assert problem is not None
    assert "does not speak HTTP" in problem


def test_something_that_never_answers_listens() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Doctor(f"http://127.0.0.1:{server.getsockname()[1]}", seconds=0.2) as doctor,
    ):
        problem = doctor.server().problem
    assert problem is not None
    assert "does not answer in time" in problem


@pytest.mark.parametrize(
    ("path", "answer", "name"),
    [
        ("/api/version", {"version": "0.9"}, "Ollama"),
        ("/props", {"default_generation_settings": {}}, "llama.cpp's server"),
        ("/version", {"version": "0.33"}, "vLLM"),
        ("/nothing", {}, "another server of models"),
    ],
)
def test_another_server_is_named(examine: Examine, path: str, answer: Any, name: str) -> None:
    models = {"/v1/models": (200, {"data": [{"id": "qwen"}]})}
    problem = examine({**models, path: (200, answer)}).server.problem
    assert problem is not None
    assert problem.startswith(f"{name} listens at ")


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"data": 7}', b'{"data": [7]}'])
def test_another_program_is_told_apart(examine: Examine, answer: bytes) -> None:
    problem = examine({"/v1/models": (200, answer)}).server.problem
    assert problem is not None
    assert problem.endswith("not incoder serve")


def test_a_model_that_is_still_loading(examine: Examine) -> None:
    problem = examine({"/health": (503, {"error": {"message": "Loading model"}})}).server.problem
    assert problem == "the server is still loading its model; ask again in a while"


def test_a_missing_and_a_wrong_key(examine: Examine) -> None:
    refused = {"/v1/models": (401, {"error": {"message": "no key"}})}
    assert examine(refused).server.problem == "the server wants an API key (--api-key-file)"
    assert examine(refused, key="wrong").server.problem == "the server does not accept this API key"


def test_a_model_or_route_that_is_not_served(examine: Examine) -> None:
    message = {"error": {"message": "this server has no such model; it serves mini"}}
    (found,) = examine({"/v1/completions": (404, message)}, ZED).clients
    assert found.problem is not None
    assert "it serves mini" in found.problem


@pytest.mark.parametrize(
    ("client", "answer"),
    [
        ("zed", {"choices": [CHOICE]}),  # Zed needs all of usage
        ("zed", {"choices": [CHOICE], "usage": {"prompt_tokens": 1}}),
        ("minuet", {"error": "x"}),
        ("llama.vim", {}),
        ("cmp-ai", {"done": True}),
        ("marimo", {"choices": 7}),
        ("tabby", b"not json"),
    ],
)
def test_an_answer_that_the_client_cannot_read(examine: Examine, client: str, answer: Any) -> None:
    chosen = find_client(client)
    (found,) = examine({chosen.path: (200, answer)}, (chosen,)).clients
    assert found.problem == f"{chosen.path} answered what {chosen.title} cannot read"


def test_an_error_is_shown_printable_and_short(examine: Examine) -> None:
    (found,) = examine({"/v1/completions": (500, b"\x1b[2J" + b"!" * 10_000)}, ZED).clients
    assert found.problem is not None
    assert found.problem.isprintable()
    assert len(found.problem) < 400


@pytest.mark.parametrize(
    ("client", "path", "wanted"),
    [
        ("zed", "/v1", "/v1/completions"),
        ("zed-ollama", "/v1", ""),
        ("cellsense", "/v1", ""),
        ("marimo", "/v1/chat/completions", "/v1"),
        ("continue", "/v1/fim/completions", "/v1/"),
        ("llama.vscode", "/infill", ""),
        ("llama.vim", "/v1", "/infill"),
    ],
)
def test_a_url_with_another_path_than_the_client_needs(client: str, path: str, wanted: str) -> None:
    base = "http://127.0.0.1:8012"
    problem = url_problem(find_client(client), base + path)
    assert problem == f"the URL in its settings must be {base}{wanted}, not {base}{path}"
    assert url_problem(find_client(client), base + wanted) is None
    assert url_problem(find_client(client), base) is None


@pytest.mark.parametrize(
    ("environment", "is_noted"),
    [
        ({}, False),
        ({"HTTP_PROXY": "http://p"}, True),
        ({"http_proxy": "http://p", "no_proxy": "localhost, 127.0.0.1"}, False),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "*"}, False),
        ({"HTTPS_PROXY": ""}, False),
    ],
)
def test_a_proxy_is_noted(environment: dict[str, str], is_noted: bool) -> None:
    assert (proxy_note("http://127.0.0.1:8012", environment) is not None) is is_noted


@pytest.mark.parametrize("url", ["127.0.0.1:8012", "ftp://host", "http://", "http://h:0", "http://a b"])
def test_a_bad_url_is_refused(url: str) -> None:
    with pytest.raises(IncoderError, match=r"must be like http://127\.0\.0\.1:8012"):
        base_of(url)


def test_settings_have_no_placeholder_left_and_name_the_server() -> None:
    for client in CLIENTS:
        text = settings_text(client, "http://host:1", "own")
        assert "http://host:1" + client.url_path in text
        assert "{url}" not in text
        assert "{model}" not in text
    assert len(set(client_names())) == len(CLIENTS)


def test_the_page_about_clients_has_these_settings() -> None:
    page = Path(__file__).parents[3] / "docs" / "clients.md"
    if not page.exists():
        pytest.skip("docs/clients.md is written with the dialects")
    text = page.read_text(encoding="utf-8")
    for client in CLIENTS:
        assert f"http://127.0.0.1:8012{client.url_path}" in text


def test_serve_prints_settings_of_the_same_data() -> None:
    lines = client_settings("http://127.0.0.1:8012")
    assert any(settings_text(find_client("llama.vscode"), "http://127.0.0.1:8012") in line for line in lines)
    assert "more: incoder doctor" in lines
