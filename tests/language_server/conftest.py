"""Language servers in processes of their own, with a model server that answers as the test says."""

from collections.abc import Callable, Iterator

import pytest
from tests.language_server.client import Client
from tests.language_server.fake_model_server import FakeModelServer, by_last_line


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of the tests' own, so that no server of the user is found and no count of theirs changed."""
    folder = tmp_path_factory.mktemp("user")
    return {"XDG_RUNTIME_DIR": str(folder), "XDG_STATE_HOME": str(folder / "state")}


@pytest.fixture(scope="session")
def shared_model() -> Iterator[FakeModelServer]:
    server = FakeModelServer(by_last_line({})).start()
    yield server
    server.end()


@pytest.fixture(scope="session")
def shared_client(shared_model: FakeModelServer, environment: dict[str, str]) -> Iterator[Client]:
    client = Client("--server", shared_model.url, environment=environment)
    client.initialize()
    yield client
    client.end()


@pytest.fixture
def model(shared_model: FakeModelServer) -> FakeModelServer:
    """The model server of `client`; it knows nothing of earlier tests."""
    shared_model.infills, shared_model.seconds, shared_model.status = by_last_line({}), 0.0, 200
    shared_model.bodies.clear()
    shared_model.num_cancelled = 0
    return shared_model


@pytest.fixture
def client(shared_client: Client, model: FakeModelServer) -> Client:  # noqa: ARG001 - it is reset
    """An editor whose settings are the defaults, but for the pause before a request."""
    configure(shared_client)
    return shared_client


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., Client]]:
    """Start language servers that end with the test."""
    started: list[Client] = []

    def run(*options: str, **settings: object) -> Client:
        started.append(Client(*options, environment=environment, **settings))  # type: ignore[arg-type]
        return started[-1]

    yield run
    for one in started:
        one.end()


def configure(client: Client, **settings: object) -> None:
    """Let the user change the settings; those that are not given have their defaults."""
    given = {"debounce": 0, "prefetch": False, "log_level": "debug", **settings}
    client.notify("workspace/didChangeConfiguration", {"settings": {"incoder": given}})
