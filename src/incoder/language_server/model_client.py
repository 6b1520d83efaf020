"""Requests to the model server, which is connected when it is needed, and replaced when it dies or hangs.

A request that is cancelled closes its connection, by which the server cancels the work. A server that this
language server (or another one) started and that hangs is killed; the next attempt starts a new one.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import httpx2

from incoder.errors import IncoderError
from incoder.language_server.local_server import Connection

HANG_SECONDS = 5.0  # without any answer, until the server is asked whether it is alive
ENGINE_SECONDS = 20.0  # without any answer of the model, until it is given a small request of its own
_RETRY_SECONDS = (0.0, 2.0, 10.0, 30.0, 60.0)  # after failed starts
_SMALL = {"parts": ["x = ", "\n"], "max_new_tokens": 1, "time_limit": 5.0}

Note = Callable[[str], None]


class ModelError(IncoderError):
    """The model server refuses a request, or cannot be reached."""


class Connector(Protocol):
    """Connects to a model server."""

    async def connect(self) -> Connection:
        """Return a connection.

        Raises:
            IncoderError: there is no server.
        """
        ...


class RemoteServer:
    """The server at a URL, which others started (`--server`)."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def connect(self) -> Connection:
        client = httpx2.AsyncClient(
            base_url=self._url, timeout=httpx2.Timeout(None, connect=5.0), trust_env=False
        )
        return Connection(client, self._url)


class ModelClient:
    """Sends requests to the server of a connector. Used in the event loop's thread only.

    `note` gets lines for the editor's log, `on_failure` an error once for each series of failed attempts.
    """

    def __init__(
        self,
        connector: Connector,
        note: Note = lambda _: None,
        on_failure: Note = lambda _: None,
        *,
        hang_seconds: float = HANG_SECONDS,
        engine_seconds: float = ENGINE_SECONDS,
    ) -> None:
        self._connector = connector
        self._note = note
        self._on_failure = on_failure
        self._hang_seconds = hang_seconds
        self._engine_seconds = engine_seconds
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._num_failures = 0
        self._next_attempt = 0.0
        self._last_answer = 0.0
        self._num_open = 0

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request, and return the answer's JSON.

        If the server dies meanwhile, the request is sent once more to its successor.

        Raises:
            ModelError: the server refuses it, or there is none.
        """
        for attempt in (1, 2):
            connection = await self.connection()
            try:
                response = await self._send(connection, path, body)
            except httpx2.HTTPError as error:
                await self._drop(connection)
                if attempt == 2 or isinstance(error, httpx2.ConnectError):
                    raise ModelError(f"{connection.name} cannot be reached: {error}") from error
                continue
            if response.status_code == 200:
                answer: dict[str, Any] = response.json()
                return answer
            raise ModelError(_said(response))
        raise AssertionError

    async def connection(self) -> Connection:
        """Return the connection to the server, which is found or started if need be.

        Raises:
            ModelError: there is no server; until some time has passed, it is not tried again.
        """
        if self._connection is not None and not self._connection.lost.is_set():
            return self._connection
        if self._connecting is None:
            if time.monotonic() < self._next_attempt:
                raise ModelError("there is no model server; the next attempt to start one comes later")
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._connected)
        # Who waits may leave (the next key was typed); the server starts anyway.
        return await asyncio.shield(self._connecting)

    async def close(self) -> None:
        """End the connection, and with the last client's a server that was started for it."""
        for task in (self._connecting, self._watching):
            if task is not None:
                task.cancel()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _connect(self) -> Connection:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
            self._note("the model server is gone; connecting again")
        try:
            found = await self._connector.connect()
        except IncoderError as error:
            wait = _RETRY_SECONDS[min(self._num_failures, len(_RETRY_SECONDS) - 1)]
            if self._num_failures == 0:
                self._on_failure(str(error))
            self._num_failures += 1
            self._next_attempt = time.monotonic() + wait
            raise ModelError(str(error)) from error
        self._num_failures, self._next_attempt = 0, 0.0
        self._connection = found
        self._note(f"connected to {found.name}")
        return found

    def _connected(self, task: "asyncio.Task[Connection]") -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # if everybody who waited has left, nobody else asks for it

    async def _drop(self, connection: Connection) -> None:
        connection.lost.set()
        if self._connection is connection:
            await connection.close()
            self._connection = None

    async def _send(self, connection: Connection, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        self._num_open += 1
        self._watch(connection)
        try:
            sending = asyncio.ensure_future(connection.client.post(path, json=dict(body)))
            losing = asyncio.ensure_future(connection.lost.wait())
            try:
                await asyncio.wait({sending, losing}, return_when=asyncio.FIRST_COMPLETED)
                if not sending.done():
                    raise httpx2.ReadError("the server is gone")
                response = sending.result()
            finally:
                sending.cancel()
                losing.cancel()
            self._last_answer = time.monotonic()
            return response
        finally:
            self._num_open -= 1

    def _watch(self, connection: Connection) -> None:
        """Watch a server of ours while it owes answers, even if their requests are cancelled meanwhile."""
        if connection.may_be_killed and (self._watching is None or self._watching.done()):
            self._watching = asyncio.create_task(self._kill_if_it_hangs(connection))

    async def _kill_if_it_hangs(self, connection: Connection) -> None:
        start = time.monotonic()
        await asyncio.sleep(self._hang_seconds)
        if self._last_answer >= start or connection.lost.is_set():
            return
        alive = await self._answers(connection, lambda: connection.client.get("/health"), self._hang_seconds)
        if alive:
            await asyncio.sleep(self._engine_seconds)
            if self._last_answer >= start or connection.lost.is_set() or not await self._is_loaded(connection):
                return
            post = connection.client.post
            alive = await self._answers(
                connection, lambda: post("/v1/infill", json=_SMALL), self._engine_seconds
            )
        if not alive and not connection.lost.is_set():
            self._note("the model server hangs; it is killed, and started again")
            connection.kill()

    async def _answers(
        self, connection: Connection, ask: Callable[[], Awaitable[httpx2.Response]], seconds: float
    ) -> bool:
        with contextlib.suppress(TimeoutError, httpx2.HTTPError):
            await asyncio.wait_for(ask(), seconds)
            return True
        return connection.lost.is_set()

    async def _is_loaded(self, connection: Connection) -> bool:
        with contextlib.suppress(TimeoutError, httpx2.HTTPError):
            found = await asyncio.wait_for(connection.client.get("/health"), self._hang_seconds)
            return found.status_code == 200
        return True


def _said(response: httpx2.Response) -> str:
    try:
        return str(response.json()["error"]["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return f"the model server answered with status {response.status_code}"
