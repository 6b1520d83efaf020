"""Who may call: hosts, origins, keys and bodies, each decided before anything else happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.server.fakes import FakeSource, facts
from typer.testing import CliRunner

from incoder.cli.commands import app
from incoder.errors import IncoderError
from incoder.server.app import create_app
from incoder.server.dialects.catalogue import ROUTES
from incoder.server.security.hosts import checked_host_name
from incoder.server.security.origins import checked_origin
from incoder.server.settings import ServerSettings

BODY = {"prompt": "x = ", "suffix": "\n"}


@contextmanager
def serving(**settings: Any) -> Iterator[tuple[TestClient, FakeSource]]:
    source = FakeSource(facts("m"), answer=lambda _: "1")
    served = create_app(ServerSettings(salt_secret=b"secret", **settings), [source])
    with TestClient(served, base_url="http://127.0.0.1:8012") as client:
        yield client, source


@pytest.fixture(scope="module")
def open_client() -> Iterator[TestClient]:
    with serving() as (client, _):
        yield client


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8012", "127.0.0.1", "[::1]:80", "a.localhost"])
def test_names_of_the_loopback_device_are_answered(open_client: TestClient, host: str) -> None:
    assert open_client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "127.0.0.1.evil.com",
        "localhost.evil.com",
        "localhost@evil.com",
        "localhost/x",
        "",
        "localhost:8012:1",
        "192.168.0.1",
        "evil.com#localhost",
        "0.0.0.0",
    ],
)
@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nothing"])
def test_other_hosts_are_refused_before_routing(open_client: TestClient, host: str, path: str) -> None:
    answer = open_client.get(path, headers={"host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["type"] == "host_error"


def test_a_host_may_be_allowed_by_name() -> None:
    with serving(hosts=("code.example",)) as (client, _):
        assert client.get("/health", headers={"host": "Code.example:8012"}).status_code == 200
        assert client.get("/health", headers={"host": "other.example"}).status_code == 403


def test_beyond_the_loopback_device_addresses_are_answered_and_names_are_not() -> None:
    with serving(is_loopback=False, keys=("k",)) as (client, _):
        assert client.get("/health", headers={"host": "192.168.0.1:8012"}).status_code == 200
        assert client.get("/health", headers={"host": "evil.com"}).status_code == 403


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("--allow-origin", "ide.example", "an origin is a scheme and a host"),
        ("--allow-origin", "https://ide.example/path", "an origin is a scheme and a host"),
        ("--allow-origin", "null", "an origin is a scheme and a host"),
        ("--allow-host", "code.example:8012", "a host is given by its name"),
        ("--allow-host", "http://code.example", "a host is given by its name"),
    ],
)
def test_names_that_no_request_could_match_are_refused_at_the_start(
    option: str, value: str, rule: str
) -> None:
    found = CliRunner().invoke(app, ["serve", "--port", "0", "--model", "no-such-model", option, value])
    assert isinstance(found.exception, IncoderError)
    assert str(found.exception).startswith(rule)
    assert repr(value) in str(found.exception)


def test_allowed_names_are_compared_as_clients_send_them() -> None:
    assert checked_host_name("Code.Example.") == "code.example"
    assert checked_host_name("[::1]") == "::1"
    for origin in (
        "https://Ide.Example/",
        "http://localhost:3000",
        "vscode-webview://a1b2",
        "http://[::1]:8",
    ):
        assert checked_origin(origin) == origin.lower().removesuffix("/")


@pytest.mark.parametrize("origin", ["http://evil.com", "null", "http://127.0.0.1:9999", "http://localhost"])
def test_foreign_pages_are_refused_and_nothing_is_computed(origin: str) -> None:
    with serving() as (client, source):
        answer = client.post("/v1/completions", json=BODY, headers={"origin": origin})
        assert answer.status_code == 403
        assert not any(name.startswith("access-control") for name in answer.headers)
        assert not any(model.requests for model in source.loaded)


def test_our_own_page_may_call(open_client: TestClient) -> None:
    headers = {"origin": "http://127.0.0.1:8012"}
    answer = open_client.post("/v1/completions", json=BODY, headers=headers)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_a_named_origin_may_call_and_ask_before() -> None:
    with serving(origins=("https://ide.example",), keys=("k",)) as (client, _):
        headers = {"origin": "https://ide.example", "access-control-request-method": "POST"}
        asked = client.options("/v1/completions", headers=headers)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, headers["origin"])
        answer = client.post(
            "/v1/completions", json=BODY, headers={"origin": headers["origin"], "authorization": "Bearer k"}
        )
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == headers["origin"]
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if not route.is_public], ids=lambda one: one.path
)
def test_every_route_that_is_not_public_needs_a_key(route: Any) -> None:
    with serving(keys=("first", "second")) as (client, source):
        for headers in (
            {},
            {"authorization": "Bearer "},
            {"authorization": "Bearer firs"},
            {"x-api-key": "x"},
        ):
            answer = client.request(route.method, route.path.replace("{name:path}", "m"), headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        assert not any(model.requests for model in source.loaded)


def test_a_monitor_may_ask_by_head() -> None:
    with serving(keys=("k",)) as (client, _):
        health = client.head("/health")
        assert (health.status_code, health.content) == (200, b"")
        assert client.head("/v1/models").status_code == 401
        assert client.head("/v1/completions", headers={"authorization": "Bearer k"}).status_code == 405
        assert (
            "head"
            not in client.get("/openapi.json", headers={"authorization": "Bearer k"}).json()["paths"][
                "/health"
            ]
        )


@pytest.mark.parametrize(
    "path",
    ["/docs", "/openapi.json", "//health", "/health/", "/health%2f..%2fv1", "/nothing", "//", "/playground/"],
)
def test_paths_that_only_look_public_need_a_key_too(path: str) -> None:
    with serving(keys=("k",)) as (client, _):
        # The whole URL: a client takes the first name of //health for a host.
        assert client.get(f"http://127.0.0.1:8012{path}").status_code == 401
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize("headers", [{"authorization": "Bearer second"}, {"x-api-key": "first"}])
def test_a_key_is_read_from_either_header(headers: dict[str, str]) -> None:
    with serving(keys=("first", "second")) as (client, _):
        assert client.get("/v1/models", headers=headers).status_code == 200


def test_without_keys_an_empty_bearer_is_accepted(open_client: TestClient) -> None:
    """llama.vim always sends the header."""
    assert open_client.get("/v1/models", headers={"authorization": "Bearer "}).status_code == 200


def test_requests_with_different_keys_share_no_cache() -> None:
    with serving(keys=("first", "second")) as (client, source):
        for key in ("first", "second", "first"):
            client.post("/v1/completions", json=BODY, headers={"authorization": f"Bearer {key}"})
        salts = [request.cache_salt for request in source.loaded[0].requests]
    assert salts[0] == salts[2] != salts[1]
    assert "first" not in salts[0]


def test_a_large_body_is_refused_and_the_next_request_is_answered() -> None:
    with serving(max_body_bytes=1000) as (client, source):
        answer = client.post("/v1/completions", content=b"x" * 2_000_000)
        assert answer.status_code == 413
        assert "1000 bytes" in answer.json()["error"]["message"]
        assert client.post("/v1/completions", json=BODY).status_code == 200
        assert len(source.loaded[0].requests) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"prompt":', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_a_400(open_client: TestClient, body: bytes) -> None:
    answer = open_client.post("/v1/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/json"]
)
def test_json_is_read_whatever_its_content_type(open_client: TestClient, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    answer = open_client.post("/v1/completions", content=b'{"prompt": "x"}', headers=headers)
    assert answer.status_code == 200


def test_an_error_does_not_repeat_the_code(open_client: TestClient) -> None:
    secret = "password = 'hunter2'"
    for body in ({"prompt": {"text": secret}}, {"prompt": secret, "stop": [[secret]]}, {"model": secret}):
        answer = open_client.post("/v1/completions", json=body)
        assert answer.status_code in (400, 404)
        assert "hunter2" not in answer.text


def test_every_answer_has_the_id_of_its_request(open_client: TestClient) -> None:
    ids = {open_client.get("/v1/models").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
