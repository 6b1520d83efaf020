"""The model server that editors share: found, started, shared, killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.language_server.client import ROOT, Client, wait_until

FAKE = Path(__file__).with_name("fake_model_server.py")
TEXT = "x = \n"
RUN = """
import sys
from pathlib import Path
from incoder.language_server import local_server, model_client
from incoder.language_server.log import Log
from incoder.language_server.server import Options, run
model_client.HANG_SECONDS = {hang}
launch = local_server.Launch(command={command!r}, folder=Path({folder!r}))
run(Options(version="1", launch=launch), Log())
"""


class World:
    """A folder for sockets, and the program that language servers in it start as their model server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "sockets"
        self._record = folder / "record"
        self._script = folder / "script.json"
        self.clients: list[Client] = []
        self.command = [sys.executable, str(FAKE), str(self._script)]
        self.script(infills={"x = ": ["total(path)"]})

    def script(self, **values: Any) -> None:
        given = {"record": str(self._record), "source": str(ROOT / "src"), **values}
        self._script.write_text(json.dumps(given))

    def editor(self, hang: float = 1.0) -> Client:
        """Return an editor with an open file, whose language server starts such model servers."""
        program = RUN.format(hang=hang, command=self.command, folder=str(self.folder))
        client = Client(command=(sys.executable, "-c", program))
        self.clients.append(client)
        client.initialize(settings={"debounce": 0, "prefetch": False})
        client.open("file:///a.py", TEXT)
        return client

    @property
    def started(self) -> list[int]:
        """The processes that were started as model servers and could serve."""
        return [one["started"] for one in self._events() if "started" in one]

    @property
    def num_requests(self) -> int:
        return sum("body" in one for one in self._events())

    def _events(self) -> list[Any]:
        if not self._record.exists():
            return []
        return [json.loads(line) for line in self._record.read_text().splitlines()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    for client in world.clients:
        client.end()
    for process in world.started:
        if is_running(process):
            os.kill(process, signal.SIGKILL)


def is_running(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def suggestion(client: Client) -> Any:
    return [item["insertText"] for item in client.suggest("file:///a.py", 0, 4)]


def test_editors_share_a_server_that_ends_with_the_last_of_them(world: World) -> None:
    first, second = world.editor(), world.editor()
    assert suggestion(first) == suggestion(second) == ["total(path)"]
    (process,) = world.started
    first.shut_down()
    assert suggestion(second) == ["total(path)"] or is_running(process)
    second.process.kill()  # as when an editor crashes
    wait_until(lambda: not is_running(process))
    assert not list(world.folder.glob("*.sock"))


def test_only_the_user_can_reach_the_socket(world: World) -> None:
    suggestion(world.editor())
    (path,) = world.folder.glob("*.sock")
    assert world.folder.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_others_can_enter_is_refused(world: World) -> None:
    world.folder.mkdir()
    world.folder.chmod(0o755)
    client = world.editor()
    client.notified("window/showMessage", "nobody else can enter")
    assert suggestion(client) == []


def test_a_server_that_is_killed_is_started_again(world: World) -> None:
    client = world.editor()
    assert suggestion(client) == ["total(path)"]
    os.kill(world.started[0], signal.SIGKILL)
    client.type("file:///a.py", 0, 0, " ")
    world.script(infills={" x = ": ["another(path)"]})
    found = client.suggest("file:///a.py", 0, 5)
    assert len(world.started) == 2
    assert len(found) == 1


def test_a_server_that_hangs_is_killed_and_the_request_answered_by_the_next_one(world: World) -> None:
    client = world.editor(hang=0.5)
    suggestion(client)
    os.kill(world.started[0], signal.SIGSTOP)
    client.type("file:///a.py", 0, 0, "\n")
    items = client.suggest("file:///a.py", 1, 4)
    assert [item["insertText"] for item in items] == ["total(path)"]
    assert len(world.started) == 2
    wait_until(lambda: not is_running(world.started[0]))


def test_a_hang_is_noticed_while_requests_are_cancelled_by_newer_ones(world: World) -> None:
    client = world.editor(hang=0.5)
    suggestion(client)
    os.kill(world.started[0], signal.SIGSTOP)

    def type_on() -> bool:
        client.type("file:///a.py", 0, 0, " ")
        client.ask_to_suggest("file:///a.py", 0, 5)
        return len(world.started) == 2

    wait_until(type_on)


def test_a_hung_model_does_not_delay_the_end(world: World) -> None:
    client = world.editor(hang=60)
    suggestion(client)
    os.kill(world.started[0], signal.SIGSTOP)
    client.type("file:///a.py", 0, 0, "\n")
    client.ask_to_suggest("file:///a.py", 1, 4)
    start = time.monotonic()
    assert client.shut_down() == 0
    assert time.monotonic() - start < 1


def test_a_server_that_cannot_start_is_said_once(world: World) -> None:
    world.command = [sys.executable, "-c", "import sys; sys.exit('error: no such model')"]
    client = world.editor()
    assert suggestion(client) == []
    assert suggestion(client) == []
    shown = [params["message"] for name, params in client.notifications if name == "window/showMessage"]
    assert shown == ["InCoder: the model server ended at its start: no such model"]


def test_a_socket_that_a_killed_server_left_is_replaced(world: World) -> None:
    client = world.editor()
    suggestion(client)
    os.kill(world.started[0], signal.SIGKILL)
    client.end()
    assert list(world.folder.glob("*.sock"))
    assert suggestion(world.editor()) == ["total(path)"]


def test_the_users_own_server_is_preferred_and_never_ended(world: World) -> None:
    own = subprocess.Popen([*world.command, "--socket", str(world.folder / "serve.sock")])
    try:
        wait_until(lambda: len(world.started) == 1)
        client = world.editor()
        assert suggestion(client) == ["total(path)"]
        assert world.started == [own.pid]
    finally:
        own.kill()
        own.wait()
