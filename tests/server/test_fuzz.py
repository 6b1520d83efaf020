"""Requests that nobody would write, made from the server's own description of its routes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.server.fakes import FakeSource, facts

from incoder.server.app import create_app
from incoder.server.dialects.catalogue import ROUTES
from incoder.server.settings import ServerSettings

QUICK = settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
POSTS = [route for route in ROUTES if route.body is not None]
HUGE = [-1, 0, 2**31, 2**63, 2**64, -(2**64) - 1, 10**30, 1e308, -1e308, 0.5]


@pytest.fixture(scope="module")
def fake_client() -> Iterator[TestClient]:
    """A server whose model answers at once: what is tested is the way to it and back."""
    app = create_app(ServerSettings(), [FakeSource(facts("m"), answer=lambda _: "1")])
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("route", POSTS, ids=lambda route: route.path)
def test_numbers_outside_of_all_bounds_are_a_client_error_in_every_field(
    fake_client: TestClient, route: Any
) -> None:
    """In fields that nothing reads, too: a number that is stored unread is the next mistake's start."""
    for name in [*route.body["properties"], "a_field_that_nobody_reads", "n_discard"]:
        for number in HUGE:
            answer = fake_client.post(route.path, content=json.dumps({name: number}))
            assert answer.status_code < 500 or answer.status_code == 501, (name, number)
            if abs(number) > 2**64:
                assert answer.status_code == 400, (name, number)


@pytest.mark.parametrize("route", POSTS, ids=lambda route: route.path)
def test_any_json_gets_an_answer_that_is_no_failure(fake_client: TestClient, route: Any) -> None:
    names = st.sampled_from([*route.body["properties"], "model", "stream"])
    values = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    )

    @QUICK
    @given(body=st.dictionaries(names, values, max_size=6))
    def check(body: dict[str, Any]) -> None:
        answer = fake_client.post(route.path, content=json.dumps(body, allow_nan=False))
        assert answer.status_code < 500 or answer.status_code == 501, answer.text

    check()


def operations(client: TestClient) -> list[Any]:
    """The operations that the server describes, as schemathesis reads them."""
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    results: list[Any] = list(schema.get_all_operations())
    return [one.ok() for one in results]


def test_the_description_is_one_that_schemathesis_reads(fake_client: TestClient) -> None:
    described = {(one.method.upper(), one.path) for one in operations(fake_client)}
    expected = {(one.method, one.path.replace(":path", "")) for one in ROUTES if one.is_listed}
    assert described == expected


@pytest.mark.slow
def test_schemathesis_finds_no_failure(client: TestClient) -> None:
    """Every operation with a real model; `pytest -m slow --hypothesis-seed=…` repeats a finding."""
    for operation in operations(client):

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            body = case.body if isinstance(case.body, dict) else {}
            body = {**body, "max_tokens": 2, "n_predict": 2, "max_new_tokens": 2}
            path = case.formatted_path
            if case.method.upper() == "GET":
                answer = client.get(path)
            else:
                answer = client.request(case.method, path, content=json.dumps(body))
            assert answer.status_code < 500 or answer.status_code == 501, (path, body, answer.text)

        check()
