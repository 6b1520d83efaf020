"""A server on a Unix socket: found by language servers, and ended with the last of them."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from incoder import local_socket
from incoder.errors import IncoderError
from incoder.server.leases import Leases


def left() -> "asyncio.Task[None]":
    """A client that stays."""

    async def stay() -> None:
        await asyncio.sleep(60)

    return asyncio.create_task(stay())


def test_a_server_ends_some_time_after_its_last_client() -> None:
    async def run() -> tuple[int, int]:
        ends: list[None] = []
        leases = Leases(lambda: ends.append(None), seconds=0.05, first_seconds=10)
        leases.start()
        first, second = (asyncio.create_task(leases.hold(left)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.sleep(0.1)
        while_one_is_left = len(ends)
        second.cancel()
        await asyncio.sleep(0.01)
        third = asyncio.create_task(leases.hold(left))  # in time
        await asyncio.sleep(0.1)
        third.cancel()
        before = len(ends)
        await asyncio.sleep(0.1)
        return while_one_is_left + before, len(ends)

    assert asyncio.run(run()) == (0, 1)


def test_a_server_ends_if_no_client_comes() -> None:
    async def run() -> int:
        ends: list[None] = []
        Leases(lambda: ends.append(None), first_seconds=0.02).start()
        await asyncio.sleep(0.1)
        return len(ends)

    assert asyncio.run(run()) == 1


def test_a_server_that_ends_does_not_wait_for_its_clients() -> None:
    async def run() -> None:
        leases = Leases()
        leases.start()
        holding = asyncio.create_task(leases.hold(left))
        await asyncio.sleep(0.01)
        leases.close()
        await asyncio.wait_for(holding, 1)

    asyncio.run(run())


def test_a_socket_is_private_and_listened_on_once(tmp_path: Path) -> None:
    path = tmp_path / "run" / "a.sock"
    listening = local_socket.listen(path)
    assert listening is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert local_socket.listen(path) is None
    assert local_socket.listener(path) == os.getpid()
    listening.close()  # as when its process is killed: the path stays
    assert not local_socket.is_listened_on(path)
    assert local_socket.listener(path) is None
    again = local_socket.listen(path)
    assert again is not None
    again.close()
    local_socket.remove(path)
    local_socket.remove(path)


def test_a_folder_for_sockets_must_be_the_users_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with pytest.raises(IncoderError, match="nobody else can enter"):
        local_socket.listen(tmp_path / "a.sock")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(private)
    with pytest.raises(IncoderError, match="nobody else can enter"):
        local_socket.listen(tmp_path / "link" / "a.sock")


def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "a.sock").write_text("mine")
    with pytest.raises(IncoderError, match="cannot listen"):
        local_socket.listen(tmp_path / "a.sock")
    assert (tmp_path / "a.sock").read_text() == "mine"


def test_a_path_that_is_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(IncoderError, match="at most 100 bytes"):
        local_socket.listen(tmp_path / ("x" * 100))


class Serving:
    """`incoder serve` on a socket, with a client that can hold leases."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.path = folder / "run" / "a.sock"
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
        command = [sys.executable, "-m", "incoder", "serve", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)

    def client(self, path: Path) -> httpx2.Client:
        return httpx2.Client(
            transport=httpx2.HTTPTransport(uds=str(path)), base_url="http://localhost", timeout=240
        )

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def lease(client: httpx2.Client) -> AbstractContextManager[httpx2.Response]:
    return client.stream("GET", "/v1/lease")


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_server_on_a_socket_answers_and_ends_with_its_last_client(tmp_path: Path) -> None:
    path = tmp_path / "run" / "a.sock"
    serving = Serving(tmp_path, "--socket", str(path), "--end-with-clients")
    try:
        wait_until(path.is_socket)
        with serving.client(path) as client:
            with lease(client) as first:
                lines = first.iter_lines()
                described = json.loads(next(lines))
                assert described == {"pid": serving.process.pid, "ends_with_clients": True}
                body: dict[str, Any] = {"text": "def add(a, b):\n    return <FILL>\n", "max_new_tokens": 8}
                answer = client.post("/v1/infill", json=body)
                assert answer.status_code == 200
                refused = client.get("/health", headers={"origin": "https://example.org"})
                assert refused.status_code == 403
            started = time.monotonic()
        assert serving.process.wait(20) == 0
        assert time.monotonic() - started < 10
        assert not path.exists()
    finally:
        serving.end()


@pytest.mark.slow
def test_the_users_own_server_is_found_by_its_socket_and_stays(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    path = tmp_path / "incoder" / local_socket.USERS_SERVER
    serving = Serving(tmp_path, "--port", "0")
    try:
        wait_until(path.is_socket)
        with serving.client(path) as client, suppress(httpx2.HTTPError), lease(client) as first:
            assert json.loads(next(first.iter_lines()))["ends_with_clients"] is False
        time.sleep(3)
        assert serving.process.poll() is None
        serving.process.terminate()
        assert serving.process.wait(20) is not None
        assert not path.exists()
    finally:
        serving.end()
