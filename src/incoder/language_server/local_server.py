"""The model server of this user on this machine: found, or started and shared by all editors.

A server is found by its Unix socket in a private folder (local_socket.py): first the one that the user
started, then the one that another language server started. Otherwise one is started; it ends with its last
client. While it is needed, a lease (a stream that stays open) shows each side that the other is alive.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from incoder import local_socket
from incoder.errors import IncoderError

START_SECONDS = 120.0  # until a server that was started grants a lease; it loads its model afterwards
LEASE_SECONDS = 10.0  # until the user's own server does
_POLL_SECONDS = 0.05
_NO_TIMEOUT = httpx2.Timeout(None)


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started: `command` gets its socket as an option; its log is a file in `folder`.

    Servers of another `version` are not used.
    """

    command: Sequence[str]
    folder: Path
    version: str = ""
    environment: dict[str, str] | None = None


@dataclass(slots=True)
class Connection:
    """A server that answers. `lost` is set when it is gone, after which the connection is useless.

    `pid` is None for a server at a URL, which is never killed; so is one that `ends_with_clients` is not true
    of, because then the user started it.
    """

    client: httpx2.AsyncClient
    name: str
    pid: int | None = None
    ends_with_clients: bool = False
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    _holding: "asyncio.Task[None] | None" = None

    @property
    def may_be_killed(self) -> bool:
        return self.pid is not None and self.ends_with_clients and not self.lost.is_set()

    def kill(self) -> None:
        """Kill the server's process. Its lease is still open, so the process id is its own."""
        if self.may_be_killed and self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.lost.set()

    async def close(self) -> None:
        self.lost.set()
        if self._holding is not None:
            self._holding.cancel()
            await asyncio.wait([self._holding])
        await self.client.aclose()


class LocalServer:
    """Finds or starts the server with a model (None: whichever the user's server has, else the default)."""

    def __init__(
        self, launch: Launch, model: str | None = None, note: Callable[[str], None] = lambda _: None
    ) -> None:
        self._launch = launch
        self._model = model
        self._note = note

    async def connect(self) -> Connection:
        """Return a connection to a server that listens; its model may still be loading.

        Raises:
            IncoderError: none is there, and none can be started.
        """
        folder = self._launch.folder
        users = folder / local_socket.USERS_SERVER
        if (found := await self._connect_to(users, LEASE_SECONDS)) is not None:
            if await self._has_model(found):
                return found
            await found.close()
        path = folder / f"lsp-{self._key()}.sock"
        if (found := await self._connect_to(path, START_SECONDS)) is None:
            found = await self._start(path)
        return found

    def _key(self) -> str:
        """Servers with other models, or of another version, have other sockets."""
        parts = json.dumps([self._launch.version, self._model, list(self._launch.command)])
        return hashlib.sha256(parts.encode()).hexdigest()[:12]

    async def _has_model(self, connection: Connection) -> bool:
        if self._model is None:
            return True
        try:
            listed = await connection.client.get("/v1/models", timeout=LEASE_SECONDS)
            return any(one.get("id") == self._model for one in listed.json()["data"])
        except (httpx2.HTTPError, ValueError, KeyError, TypeError, AttributeError):
            return False

    async def _start(self, path: Path) -> Connection:
        local_socket.make_private(path.parent)
        if (hanging := local_socket.listener(path)) is not None:
            self._note("a model server grants no lease; it is killed")
            os.kill(hanging, signal.SIGKILL)
        log = path.with_suffix(".log")
        command = [*self._launch.command, "--socket", str(path)]
        if self._model is not None:
            command += ["--model", self._model]
        self._note("starting a model server")
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # signals of a terminal are for the editor
                env=self._launch.environment,
            )
        # Waited for in a thread, so that it leaves no zombie when it ends.
        threading.Thread(target=process.wait, daemon=True, name="incoder-model-server").start()
        end = asyncio.get_running_loop().time() + START_SECONDS
        while (left := end - asyncio.get_running_loop().time()) > 0:
            has_ended = process.returncode is not None
            # If another language server was faster, the process has ended, and the socket is the other one's.
            if (found := await self._connect_to(path, left)) is not None:
                return found
            if has_ended:
                raise IncoderError(f"the model server ended at its start: {_last_line(log)}")
            await asyncio.sleep(_POLL_SECONDS)
        process.kill()
        raise IncoderError(f"the model server is not ready after {START_SECONDS:g} seconds; see {log}")

    async def _connect_to(self, path: Path, seconds: float) -> Connection | None:
        """Return a connection if a server listens on this socket and grants a lease in time."""
        if not path.is_socket():
            return None
        transport = httpx2.AsyncHTTPTransport(uds=str(path))
        client = httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=_NO_TIMEOUT)
        connection = Connection(client, str(path))
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connection._holding = asyncio.create_task(_hold(connection, granted))
        try:
            await asyncio.wait_for(granted, seconds)
        except (TimeoutError, httpx2.HTTPError, ValueError, KeyError, TypeError):
            await connection.close()
            return None
        except asyncio.CancelledError:
            await connection.close()
            raise
        return connection


async def _hold(connection: Connection, granted: "asyncio.Future[None]") -> None:
    """Hold the lease of a connection until either side ends it."""
    try:
        async with connection.client.stream("GET", "/v1/lease") as response:
            lines = _lines(response)
            described = json.loads(await anext(lines, ""))
            connection.pid = int(described["pid"])
            connection.ends_with_clients = bool(described["ends_with_clients"])
            granted.set_result(None)
            async for _ in lines:
                pass
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        if not granted.done():
            granted.set_exception(error)
    finally:
        connection.lost.set()


async def _lines(response: httpx2.Response) -> AsyncIterator[str]:
    async for line in response.aiter_lines():
        yield line


def _last_line(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_text(errors="replace").strip().splitlines()
        if lines:
            return lines[-1].removeprefix("error: ")[:500]
    return f"see {log}"
