"""A model server that answers as a script says: for tests in a thread, or as a process on a socket.

    python fake_model_server.py SCRIPT --socket PATH

SCRIPT is a JSON file: `infills` by the last line of the prefix ("" for every other one), `seconds` until an
answer, and `record`, a file that gets a line of JSON for each request and each client that left. As a
process it ends with its last client.
"""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = Callable[[dict[str, Any]], list[str]]


class FakeModelServer:
    """Serves on a Unix socket or a free port; `infills` returns the candidates for a request's body."""

    def __init__(self, infills: Answer, *, ends_with_clients: bool = False) -> None:
        self.infills = infills
        self.next_edits: Callable[[dict[str, Any]], list[dict[str, Any]]] = lambda _: []
        self.seconds = 0.0
        self.ends_with_clients = ends_with_clients
        self.bodies: list[dict[str, Any]] = []
        self.num_cancelled = 0
        self.status = 200
        self.on_event: Callable[[dict[str, Any]], None] = lambda _: None
        self.port = 0
        self._num_leases = 0
        self._done: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "FakeModelServer":
        """Serve on a free port, in a thread."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve(None, ready.set)))
        self._thread.start()
        assert ready.wait(10)
        return self

    def end(self) -> None:
        assert self._loop is not None
        assert self._done is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    async def serve(self, path: str | None, on_ready: Callable[[], None]) -> None:
        self._done, self._loop = asyncio.Event(), asyncio.get_running_loop()
        if path is None:
            server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
        else:
            server = await asyncio.start_unix_server(self._connected, path)
        on_ready()
        await self._done.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split()[1].decode()
                headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                body = await reader.readexactly(int(headers.get(b"content-length", 0)))
                await self._answer(path, body, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, path: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if path == "/v1/lease":
            await self._lease(reader, writer)
        elif path in ("/v1/infill", "/v1/edit/next"):
            await self._model_answer(path, json.loads(body), reader, writer)
        else:
            _write(writer, 200, {"status": "ok", "data": [{"id": "mini"}]})

    async def _model_answer(
        self, path: str, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.bodies.append(body)
        self.on_event({"body": body, "pid": os.getpid()})
        leaving = asyncio.ensure_future(reader.read(1))  # a client waits for its answer before it sends more
        done, _ = await asyncio.wait({leaving}, timeout=self.seconds)
        if done:
            self.num_cancelled += 1
            self.on_event({"cancelled": True})
            raise ConnectionError
        leaving.cancel()
        await asyncio.wait({leaving})
        if self.status != 200:
            _write(writer, self.status, {"error": {"message": "no", "type": "test", "code": self.status}})
            return
        if path == "/v1/edit/next":
            _write(writer, 200, {"edits": self.next_edits(body)})
            return
        candidates = [
            {"text": "", "infills": [text], "finish_reasons": ["end"], "logprob": -0.1}
            for text in self.infills(body)
        ]
        _write(writer, 200, {"candidates": candidates[: body.get("num_candidates", 1)]})

    async def _lease(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._num_leases += 1
        described = {"pid": os.getpid(), "ends_with_clients": self.ends_with_clients}
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + json.dumps(described).encode() + b"\n")
        await reader.read()
        self._num_leases -= 1
        if self.ends_with_clients and self._num_leases == 0 and self._done is not None:
            self._done.set()
        raise ConnectionError


def _write(writer: asyncio.StreamWriter, status: int, value: Any) -> None:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


def by_last_line(infills: dict[str, list[str]]) -> Answer:
    """Return a function that looks the candidates up by the last line of the prefix; "" is for all others."""

    def find(body: dict[str, Any]) -> list[str]:
        line = body["parts"][0].rpartition("\n")[2]
        return infills.get(line, infills.get("", []))

    return find


def main() -> None:
    script = json.loads(Path(sys.argv[1]).read_text())
    path = sys.argv[sys.argv.index("--socket") + 1]
    sys.path.insert(0, script["source"])
    from incoder import local_socket

    if (bound := local_socket.listen(Path(path))) is None:
        sys.exit("error: another server listens there")
    server = FakeModelServer(by_last_line(script["infills"]), ends_with_clients=True)
    server.seconds = script.get("seconds", 0.0)

    def record(event: dict[str, Any]) -> None:
        with Path(script["record"]).open("a") as file:
            file.write(json.dumps(event) + "\n")

    async def serve() -> None:
        server._done = asyncio.Event()
        listening = await asyncio.start_unix_server(server._connected, sock=bound)
        await server._done.wait()
        listening.close()

    server.on_event = record
    record({"started": os.getpid()})
    asyncio.run(serve())
    local_socket.remove(Path(path))


if __name__ == "__main__":
    main()
