"""A client of a language server in a process of its own: requests and notifications as an editor sends them.

Messages are plain JSON; every answer must be one that lsprotocol can read.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lsprotocol import converters, types

ROOT = Path(__file__).parents[2]
INVOKED, AUTOMATIC = 1, 2
_CONVERTER = converters.get_converter()


class RequestError(Exception):
    """The server answered with an error."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.code = error["code"]
        super().__init__(f"{error['code']}: {error['message']}")


class Client:
    """Starts a server with these options; `answers` are functions of the server's own requests by method."""

    def __init__(
        self,
        *options: str,
        command: Sequence[str] = (sys.executable, "-m", "incoder", "lsp"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **(environment or {})},
        )
        self.notifications: list[tuple[str, Any]] = []
        self.answers: dict[str, Callable[[Any], Any]] = {}
        self.errors = b""
        self._results: dict[int, Any] = {}
        self._methods: dict[int, str] = {}
        self._ids = itertools.count(1)
        self._versions: dict[str, int] = {}
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def initialize(
        self,
        *,
        settings: object = None,
        folders: Sequence[Path] = (),
        encodings: Sequence[str] = ("utf-8", "utf-16", "utf-32"),
        capabilities: Mapping[str, Any] | None = None,
    ) -> Any:
        given = {"general": {"positionEncodings": list(encodings)}, **(capabilities or {})}
        found = self.request(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": folders[0].as_uri() if folders else None,
                "workspaceFolders": [{"uri": one.as_uri(), "name": one.name} for one in folders],
                "capabilities": given,
                "initializationOptions": settings,
            },
        )
        self.notify("initialized", {})
        return found["capabilities"]

    def open(self, uri: str, text: str, language: str = "python") -> None:
        self._versions[uri] = 1
        document = {"uri": uri, "languageId": language, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def change(self, uri: str, *changes: tuple[int, int, int, int, str]) -> None:
        """Replace ranges (start line, start character, end line, end character) with texts."""
        self._versions[uri] += 1
        self.notify(
            "textDocument/didChange",
            {
                "textDocument": {"uri": uri, "version": self._versions[uri]},
                "contentChanges": [
                    {
                        "range": {
                            "start": {"line": one[0], "character": one[1]},
                            "end": {"line": one[2], "character": one[3]},
                        },
                        "text": one[4],
                    }
                    for one in changes
                ],
            },
        )

    def version(self, uri: str) -> int:
        """The version of a document after the last change."""
        return self._versions[uri]

    def type(self, uri: str, line: int, character: int, text: str) -> None:
        self.change(uri, (line, character, line, character, text))

    def suggest(self, uri: str, line: int, character: int, trigger: int = AUTOMATIC, **more: Any) -> Any:
        """Return the items at a position."""
        found = self.wait(self.ask_to_suggest(uri, line, character, trigger, **more))
        return [] if found is None else found["items"]

    def ask_to_suggest(
        self, uri: str, line: int, character: int, trigger: int = AUTOMATIC, **more: Any
    ) -> int:
        return self.send(
            "textDocument/inlineCompletion",
            {
                "textDocument": {"uri": uri},
                "position": {"line": line, "character": character},
                "context": {"triggerKind": trigger, **more},
            },
        )

    def execute(self, command: Mapping[str, Any]) -> Any:
        return self.request(
            "workspace/executeCommand",
            {"command": command["command"], "arguments": command.get("arguments", [])},
        )

    def request(self, method: str, params: Any, seconds: float = 100) -> Any:
        return self.wait(self.send(method, params), seconds)

    def send(self, method: str, params: Any) -> int:
        number = next(self._ids)
        self._methods[number] = method
        self._write({"id": number, "method": method, "params": params})
        return number

    def notify(self, method: str, params: Any) -> None:
        self._write({"method": method, "params": params})

    def cancel(self, number: int) -> None:
        self.notify("$/cancelRequest", {"id": number})

    def wait(self, number: int, seconds: float = 100) -> Any:
        """Wait for an answer and return its result.

        Raises:
            RequestError: the answer is an error.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: number in self._results, seconds):
                raise TimeoutError(f"no answer to {self._methods[number]} in {seconds} seconds")
            answer = self._results.pop(number)
        if "error" in answer:
            raise RequestError(answer["error"])
        kinds = types.METHOD_TO_TYPES.get(self._methods[number])
        if kinds is not None and kinds[1] is not None:
            _CONVERTER.structure({"jsonrpc": "2.0", "id": number, **answer}, kinds[1])
        return answer["result"]

    def notified(self, method: str, text: str = "", seconds: float = 10) -> Any:
        """Wait for a notification whose JSON contains a text, and return its parameters."""

        def found() -> list[Any]:
            return [
                params for name, params in self.notifications if name == method and text in json.dumps(params)
            ]

        with self._changed:
            if not self._changed.wait_for(found, seconds):
                raise TimeoutError(f"no {method} with {text!r}; there were {self.notifications}")
            return found()[0]

    def shut_down(self) -> int:
        """End the server as an editor does, and return its exit status."""
        self.request("shutdown", None)
        self.notify("exit", None)
        return self.process.wait(10)

    def end(self) -> None:
        """End the server however it is."""
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def _write(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        output = self.process.stdout
        while header := output.readline():
            length = 0
            while header.strip():
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                header = output.readline()
            self._take(json.loads(output.read(length)))

    def _take(self, message: Any) -> None:
        if "method" in message and "id" in message:
            answer = self.answers.get(message["method"])
            result = None if answer is None else answer(message.get("params"))
            self._write({"id": message["id"], "result": result})
        with self._changed:
            if "method" in message:
                self.notifications.append((message["method"], message.get("params")))
            else:
                self._results[message["id"]] = message
            self._changed.notify_all()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.01)
