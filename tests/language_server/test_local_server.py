"""The model server that editors share: found, started, shared, killed and started again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.language_server.client import ROOT, Client, wait_until

from incoder.language_server import local_server
from incoder.language_server.local_server import Launch, LocalServer
from incoder.language_server.model_client import ModelClient, ModelError

T = TypeVar("T")

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

    def __init__(self, folder: Path, sockets: Path) -> None:
        self.folder = sockets
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

    async def run(
        self,
        use: Callable[[ModelClient], Coroutine[Any, Any, T]],
        *,
        model: str | None = None,
        hang: float = 0.3,
        engine: float = 0.3,
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> T:
        """Use a client of such model servers, in this process."""
        local = LocalServer(Launch(command=self.command, folder=self.folder), model)
        client = ModelClient(local, on_failure=on_failure, hang_seconds=hang, engine_seconds=engine)
        try:
            return await use(client)
        finally:
            await client.close()

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
    with tempfile.TemporaryDirectory(prefix="incoder-") as short:  # a socket's path has at most 100 bytes
        world = World(tmp_path, Path(short) / "sockets")
        yield from _running(world)


def _running(world: World) -> Iterator[World]:
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


async def suggestion_of(client: ModelClient) -> str:
    answer = await client.post("/v1/infill", {"parts": ["x = ", "\n"]})
    return str(answer["candidates"][0]["infills"][0])


def suggestion(client: Client) -> Any:
    return [item["insertText"] for item in client.suggest("file:///a.py", 0, 4)]


def test_editors_share_a_server_that_ends_with_the_last_of_them(world: World) -> None:
    first, second = world.editor(), world.editor()
    assert suggestion(first) == suggestion(second) == ["total(path)"]
    (process,) = world.started
    first.shut_down()
    time.sleep(0.2)
    assert is_running(process)
    second.process.kill()  # as when an editor crashes
    wait_until(lambda: not is_running(process))
    assert not list(world.folder.glob("*.sock"))


def test_a_server_that_hangs_is_killed_and_the_request_answered_by_the_next_one(world: World) -> None:
    client = world.editor(hang=0.5)
    suggestion(client)
    os.kill(world.started[0], signal.SIGSTOP)
    client.type("file:///a.py", 0, 0, "\n")
    items = client.suggest("file:///a.py", 1, 4)
    assert [item["insertText"] for item in items] == ["total(path)"]
    assert len(world.started) == 2
    wait_until(lambda: not is_running(world.started[0]))


def test_a_hung_model_does_not_delay_the_end(world: World) -> None:
    client = world.editor(hang=60)
    suggestion(client)
    os.kill(world.started[0], signal.SIGSTOP)
    client.type("file:///a.py", 0, 0, "\n")
    client.ask_to_suggest("file:///a.py", 1, 4)
    start = time.monotonic()
    client.request("shutdown", None)
    assert time.monotonic() - start < 1
    client.notify("exit", None)
    assert client.process.wait(10) == 0


def test_editors_that_start_at_the_same_time_share_a_server(world: World) -> None:
    async def together() -> list[str]:
        return await asyncio.gather(*(world.run(suggestion_of) for _ in range(4)))

    assert asyncio.run(together()) == ["total(path)"] * 4
    assert len(world.started) == 1


def test_only_the_user_can_reach_the_socket(world: World) -> None:
    asyncio.run(world.run(suggestion_of))
    world.folder.mkdir(exist_ok=True)
    assert world.folder.stat().st_mode & 0o777 == 0o700

    async def look(client: ModelClient) -> list[int]:
        await suggestion_of(client)
        return [path.stat().st_mode & 0o777 for path in world.folder.glob("*.sock")]

    assert asyncio.run(world.run(look)) == [0o600]


def test_a_folder_that_others_can_enter_is_refused(world: World) -> None:
    world.folder.mkdir(mode=0o700)
    others = subprocess.Popen([*world.command, "--socket", str(world.folder / "serve.sock"), "--own"])
    try:
        wait_until(lambda: len(world.started) == 1)
        world.folder.chmod(0o755)
        with pytest.raises(ModelError, match="nobody else can enter"):
            asyncio.run(world.run(suggestion_of))
        assert world.num_requests == 0
    finally:
        others.kill()
        others.wait()


def test_a_server_that_hangs_before_it_grants_a_lease_is_killed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(world.run(suggestion_of))

    async def stop(client: ModelClient) -> None:
        await suggestion_of(client)
        os.kill(world.started[1], signal.SIGSTOP)

    asyncio.run(world.run(stop))
    monkeypatch.setattr(local_server, "START_SECONDS", 2.0)
    assert asyncio.run(world.run(suggestion_of)) == "total(path)"
    assert not is_running(world.started[1])


def test_a_server_that_is_killed_is_started_again(world: World) -> None:
    async def kill_between(client: ModelClient) -> list[str]:
        first = await suggestion_of(client)
        os.kill(world.started[0], signal.SIGKILL)
        return [first, await suggestion_of(client)]

    assert asyncio.run(world.run(kill_between)) == ["total(path)"] * 2
    assert len(world.started) == 2


def test_a_request_whose_server_is_killed_meanwhile_is_sent_to_the_next_one(world: World) -> None:
    world.script(infills={"": ["total(path)"]}, seconds=0.5)

    async def kill_meanwhile(client: ModelClient) -> str:
        asking = asyncio.create_task(suggestion_of(client))
        while world.num_requests < 1:
            await asyncio.sleep(0.01)
        os.kill(world.started[0], signal.SIGKILL)
        return await asking

    assert asyncio.run(world.run(kill_meanwhile)) == "total(path)"
    assert len(world.started) == 2


def test_a_hang_is_noticed_while_requests_are_cancelled_by_newer_ones(world: World) -> None:
    async def type_on(client: ModelClient) -> None:
        await suggestion_of(client)
        os.kill(world.started[0], signal.SIGSTOP)
        while len(world.started) < 2:
            asking = asyncio.create_task(suggestion_of(client))
            await asyncio.sleep(0.05)
            asking.cancel()

    asyncio.run(asyncio.wait_for(world.run(type_on), 30))
    assert not is_running(world.started[0])


def test_a_model_that_writes_nothing_is_noticed_although_its_server_says_it_is_well(world: World) -> None:
    world.script(infills={"": ["total(path)"]}, seconds=1000)

    async def ask(client: ModelClient) -> None:
        asking = asyncio.create_task(suggestion_of(client))
        while len(world.started) < 2:
            await asyncio.sleep(0.05)
        asking.cancel()

    asyncio.run(asyncio.wait_for(world.run(ask), 30))
    assert not is_running(world.started[0])


def test_a_slow_model_is_left_alone(world: World) -> None:
    world.script(infills={"": ["total(path)"]}, seconds=0.4)

    async def ask(client: ModelClient) -> str:
        return await suggestion_of(client)

    assert asyncio.run(world.run(ask, hang=0.1, engine=0.25)) == "total(path)"
    assert len(world.started) == 1


def test_a_failed_start_is_said_once_and_tried_again_later(world: World) -> None:
    world.command = [sys.executable, "-c", "import sys; sys.exit('error: no such model')"]
    said: list[str] = []

    async def ask_often(client: ModelClient) -> list[str]:
        errors = []
        for _ in range(3):
            with pytest.raises(ModelError) as caught:
                await suggestion_of(client)
            errors.append(str(caught.value))
        return errors

    errors = asyncio.run(world.run(ask_often, on_failure=said.append))
    assert said == ["the model server ended at its start: no such model"]
    assert errors[:2] == said * 2
    assert errors[2] == "there is no model server; the next attempt to start one comes later"


def test_a_socket_that_a_killed_server_left_is_replaced(world: World) -> None:
    async def leave(client: ModelClient) -> None:
        await suggestion_of(client)
        os.kill(world.started[0], signal.SIGKILL)

    asyncio.run(world.run(leave))
    assert list(world.folder.glob("*.sock"))
    assert asyncio.run(world.run(suggestion_of)) == "total(path)"


def test_the_users_own_server_is_preferred_and_never_killed(world: World) -> None:
    world.folder.mkdir(mode=0o700)
    own = subprocess.Popen([*world.command, "--socket", str(world.folder / "serve.sock"), "--own"])
    try:
        wait_until(lambda: len(world.started) == 1)

        async def hang(client: ModelClient) -> bool:
            assert await suggestion_of(client) == "total(path)"
            os.kill(own.pid, signal.SIGSTOP)
            asking = asyncio.create_task(suggestion_of(client))
            await asyncio.sleep(1)
            asking.cancel()
            return own.poll() is None

        assert asyncio.run(world.run(hang))
        assert world.started == [own.pid]
    finally:
        own.kill()
        own.wait()


def test_another_model_than_the_users_server_has_gets_a_server_of_its_own(world: World) -> None:
    world.folder.mkdir(mode=0o700)
    own = subprocess.Popen([*world.command, "--socket", str(world.folder / "serve.sock"), "--own"])
    try:
        wait_until(lambda: len(world.started) == 1)
        assert asyncio.run(world.run(suggestion_of, model="mini")) == "total(path)"
        assert len(world.started) == 1
        assert asyncio.run(world.run(suggestion_of, model="other")) == "total(path)"
        assert len(world.started) == 2
    finally:
        own.kill()
        own.wait()
