"""POST /v1/project: whose folders are read, and when the model is asked to."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.server.fakes import FakeSource, facts

from incoder.server.app import create_app
from incoder.server.settings import ServerSettings


def refreshed(settings: ServerSettings, body: dict[str, Any]) -> tuple[int, list[Path]]:
    """Send a request; return its status and the folders that the model has looked at."""
    source = FakeSource(facts("fake"))
    with TestClient(create_app(settings, [source]), base_url="http://127.0.0.1") as client:
        status = client.post("/v1/project", json=body).status_code
        (model,) = source.loaded
    return status, model.refreshed


def test_a_project_of_the_server_is_refreshed(tmp_path: Path) -> None:
    settings = ServerSettings(projects=(tmp_path,))
    assert refreshed(settings, {"project": str(tmp_path)}) == (200, [tmp_path])


def test_any_project_may_be_named_only_where_the_server_allows_it(tmp_path: Path) -> None:
    body = {"project": str(tmp_path)}
    assert refreshed(ServerSettings(), body) == (400, [])
    assert refreshed(ServerSettings(allows_any_project=True), body) == (200, [tmp_path])


@pytest.mark.parametrize("body", [{}, {"project": 5}, {"project": "src"}, {"project": "/nowhere/at/all"}])
def test_what_is_no_folder_is_refused(body: dict[str, Any]) -> None:
    assert refreshed(ServerSettings(allows_any_project=True), body) == (400, [])
