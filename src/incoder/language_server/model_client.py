"""Requests to the model server, which is connected when it is needed, and replaced when it dies or hangs.

A request that is cancelled closes its connection, by which the server cancels the work. A server that this
language server (or another one) started and that hangs is killed; the next attempt starts a new one.
"""

import asyncio
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
        hang_seconds: float | None = None,
        engine_seconds: float = ENGINE_SECONDS,
    ) -> None:
        self._connector = connector
        self._note = note
        self._on_failure = on_failure
        self._hang_seconds = HANG_SECONDS if hang_seconds is None else hang_seconds
        self._engine_seconds = engine_seconds
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._num_failures = 0
        self._next_attempt = 0.0
        self._num_open = 0
        self._owes_since: float | None = None  # the first request after the last answer, even if cancelled

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
        if self._owes_since is None:
            self._owes_since = time.monotonic()
        if connection.may_be_killed and (self._watching is None or self._watching.done()):
            self._watching = asyncio.create_task(self._watch(connection))
        sending = asyncio.ensure_future(connection.client.post(path, json=dict(body)))
        sending.add_done_callback(_retrieve)
        losing = asyncio.ensure_future(connection.lost.wait())
        try:
            await asyncio.wait({sending, losing}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise httpx2.ReadError("the server is gone")
            response = sending.result()
            self._owes_since = time.monotonic() if self._num_open > 1 else None
            return response
        finally:
            self._num_open -= 1
            sending.cancel()
            losing.cancel()

    async def _watch(self, connection: Connection) -> None:
        """Kill the server if it owes answers and hangs, even if the requests were cancelled meanwhile."""
        while (since := self._owes_since) is not None and not connection.lost.is_set():
            left = since + self._hang_seconds - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)
            elif await self._hangs(connection, since):
                self._note("the model server hangs; it is killed, and another one is started")
                connection.kill()
            elif self._owes_since == since:
                self._owes_since = time.monotonic() if self._num_open else None

    async def _hangs(self, connection: Connection, since: float) -> bool:
        """Whether the server does not say how it is, or a model that is loaded writes nothing."""

        def ask_how_it_is() -> Awaitable[httpx2.Response]:
            return connection.client.get("/health")

        health = await self._answer(connection, ask_how_it_is, self._hang_seconds)
        if health is None or health.status_code != 200:
            return health is None
        await asyncio.sleep(self._engine_seconds)
        if self._owes_since != since or not self._num_open:
            return False

        def ask_model() -> Awaitable[httpx2.Response]:
            return connection.client.post("/v1/infill", json=_SMALL)

        return await self._answer(connection, ask_model, self._engine_seconds) is None

    async def _answer(
        self, connection: Connection, ask: Callable[[], Awaitable[httpx2.Response]], seconds: float
    ) -> httpx2.Response | None:
        """Return the answer to a request, or None if there is none in time and the server is not gone."""
        try:
            return await asyncio.wait_for(ask(), seconds)
        except TimeoutError:
            return None
        except httpx2.HTTPError:
            connection.lost.set()
            return httpx2.Response(503)


def _said(response: httpx2.Response) -> str:
    try:
        return str(response.json()["error"]["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return f"the model server answered with status {response.status_code}"


def _retrieve(task: "asyncio.Task[httpx2.Response]") -> None:
    """Look at the exception of a request that nobody waits for any more, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
