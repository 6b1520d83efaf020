"""Real connections to a server in this process, with a model that answers when the test lets it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from tests.server.fakes import FakeModel, FakeSource, facts

from incoder.server import protocol
from incoder.server.app import create_app
from incoder.server.protocol import PatientProtocol
from incoder.server.settings import ServerSettings

BODY = json.dumps({"prompt": "x = ", "suffix": "\n"}).encode()


class Live:
    """A running server, and the last model that it has loaded."""

    def __init__(self, port: int, source: FakeSource) -> None:
        self.port = port
        self._source = source

    @property
    def model(self) -> FakeModel:
        return self._source.loaded[-1]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def send(
        self, body: bytes = BODY, path: str = "/v1/completions", length: int | None = None
    ) -> socket.socket:
        """Send a request and leave the connection open."""
        connection = self.connect()
        length = len(body) if length is None else length
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return connection

    def status(self, connection: socket.socket) -> int:
        """The status of the answer; 0 if the connection was closed without one."""
        with connection:
            data = b""
            while b"\r\n" not in data and (more := connection.recv(4096)):
                data += more
        return int(data.split()[1]) if data else 0

    def is_well(self) -> bool:
        connection = self.connect()
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        return self.status(connection) == 200


@contextmanager
def live(**settings: Any) -> Iterator[Live]:
    source = FakeSource(facts("m"))
    app = create_app(ServerSettings(**settings), [source])
    config = uvicorn.Config(app, http=PatientProtocol, log_level="error", lifespan="on", ws="none")
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        running = Live(listening.getsockname()[1], source)
        until(running.is_well)
        yield running
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("extra", [{}, {"stream": True}])
def test_a_request_ends_when_its_client_leaves_before_the_first_token(extra: dict[str, Any]) -> None:
    with live() as server:
        body = json.dumps({"prompt": "x = ", **extra}).encode()
        connection = server.send(body)
        until(lambda: server.model.futures)
        assert not server.model.futures[0].cancelled()
        connection.close()
        until(server.model.futures[0].cancelled)
        assert server.is_well()


def test_a_client_that_leaves_in_the_queue_is_never_answered() -> None:
    with live(max_concurrent=1) as server:
        first = server.send()
        until(lambda: server.model.futures)
        second = server.send()
        time.sleep(0.1)
        second.close()
        time.sleep(0.1)
        server.model.futures[0].cancel()
        assert server.status(first) == 503
        time.sleep(0.1)
        assert len(server.model.futures) == 1


def test_half_a_body_computes_nothing_and_is_dropped() -> None:
    with live(body_seconds=0.3) as server:
        left = server.send(BODY[:5], length=len(BODY))
        left.close()
        waiting = server.send(BODY[:5], length=len(BODY))
        assert server.status(waiting) == 408
        assert server.is_well()
        assert not server.model.requests


def test_a_head_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    with live() as server:
        silent, slow, second = server.connect(), server.connect(), server.connect()
        slow.sendall(b"POST /v1/completions HT")
        second.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert second.recv(4096).startswith(b"HTTP/1.1 200")
        second.sendall(b"GET /hea")  # the second request of a connection
        assert [server.status(one) for one in (silent, slow, second)] == [408, 408, 408]
        assert server.is_well()


def test_a_huge_body_is_refused_without_being_kept() -> None:
    with live() as server:
        size = 100_000_000
        connection = server.send(b"", length=size)
        piece = b"x" * 1_000_000
        for _ in range(size // len(piece)):
            connection.sendall(piece)
        assert server.status(connection) == 413
        assert server.is_well()


def test_requests_of_one_slot_replace_each_other_and_those_of_others_do_not() -> None:
    with live() as server:

        def send(slot: str, text: str) -> socket.socket:
            return server.send(json.dumps({"text": f"{text}<FILL>", "slot": slot}).encode(), "/v1/infill")

        other = send("1", "a")
        until(lambda: len(server.model.futures) == 1)
        old = send("0", "b")
        until(lambda: len(server.model.futures) == 2)
        new = send("0", "c")
        assert server.status(old) == 409
        until(lambda: len(server.model.futures) == 3)
        assert [future.cancelled() for future in server.model.futures] == [False, True, False]
        other.close()
        new.close()
        until(lambda: all(future.cancelled() for future in server.model.futures))


def test_a_full_queue_is_a_429_and_empties_again() -> None:
    with live(max_concurrent=1, max_queue=1) as server:
        held = [server.send()]
        until(lambda: server.model.futures)
        held.append(server.send())
        time.sleep(0.1)
        assert server.status(server.send()) == 429
        for connection in held:
            connection.close()
        until(lambda: server.status(server.send(b'{"prompt": 1}')) == 400)


def test_a_model_that_dies_is_a_503_and_the_next_request_gets_a_new_one() -> None:
    with live() as server:
        connection = server.send()
        until(lambda: server.model.futures)
        dead = server.model
        dead.is_alive = False
        dead.futures[0].set_exception(RuntimeError("the thread has ended"))
        assert server.status(connection) == 503
        again = server.send()
        until(lambda: server.model is not dead and server.model.futures)
        again.close()
