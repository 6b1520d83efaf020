"""A server with the embedded model in this process, one for all tests, and a client of it."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

import incoder
from incoder.inference.infill_model import InfillModel
from incoder.server.app import create_app
from incoder.server.models.local_model import LocalSource, facts_of
from incoder.server.settings import ServerSettings


@pytest.fixture(scope="session")
def mini() -> InfillModel:
    return incoder.load("mini", device="cpu")


@pytest.fixture(scope="session")
def source(mini: InfillModel) -> LocalSource:
    """The embedded model, which is loaded once whatever servers do."""
    return LocalSource(facts=facts_of("mini", mini), load_model=lambda: mini, warms_up=False)


@pytest.fixture(scope="session")
def client(source: LocalSource) -> Iterator[TestClient]:
    """A client of a server without keys, as `incoder serve` starts one."""
    app = create_app(ServerSettings(), [source])
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client
