"""A suggestion in an editor beside the same request to the model server, in turns within one run.

    python benchmarks/language_server.py
    python benchmarks/language_server.py --rounds 20

An editor types into a file of 1,000 lines, with three other files open, and asks for a suggestion of one line
after every key. In turns, the request goes to `incoder lsp` (with the change, until the answer arrives), or
the request that the language server would send goes to `incoder serve` directly. Both find the text up to the
key before in the server's cache. With a model server that answers at once, what is left is the cost of the
language server itself. Milliseconds: the median, and the 95th percentile.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from inspect import getsource
from pathlib import Path
from typing import Any

import httpx2
from lsprotocol import types
from pygls.lsp.client import LanguageClient
from serving import percentile, serving

NUM_LINES = 1000
FILES = ("argparse", "tarfile", "pydoc", "zipfile", "pickle", "doctest", "optparse", "inspect")
TYPED = "result = self.collected_by_name"
SETTINGS = {
    "debounce": 0,
    "prefetch": False,
    "lines": "one",
    "project_memory": False,
    "log_level": "debug",
}


class Editor:
    """An editor whose language server uses a model server."""

    def __init__(self, url: str, folder: Path) -> None:
        self._command = [sys.executable, "-m", "incoder", "lsp", "--server", url]
        self._folder = folder
        self._client = LanguageClient("benchmark", "1")
        self._version = 0
        self.num_asked = 0  # suggestions that were asked of the model, and not shown before
        self._client.feature(types.WINDOW_LOG_MESSAGE)(lambda params: self._logged(params))

    async def start(self, names: Sequence[str]) -> None:
        """Open files of the folder; the last one is typed into."""
        await self._client.start_io(*self._command)
        capabilities = types.ClientCapabilities(
            general=types.GeneralClientCapabilities(position_encodings=["utf-8"])
        )
        folders = [types.WorkspaceFolder(self._folder.as_uri(), "benchmark")]
        await self._client.initialize_async(
            types.InitializeParams(
                capabilities=capabilities, workspace_folders=folders, initialization_options=SETTINGS
            )
        )
        self._client.initialized(types.InitializedParams())
        await asyncio.sleep(2)  # until the workspace's files are listed
        for name in names:
            path = self._folder / name
            document = types.TextDocumentItem(path.as_uri(), "python", 0, path.read_text())
            self._client.text_document_did_open(types.DidOpenTextDocumentParams(document))
        self._uri = path.as_uri()

    async def type(self, line: int, character: int, text: str) -> None:
        """Type a text."""
        self._version += 1
        start = types.Position(line, character)
        change = types.TextDocumentContentChangePartial(types.Range(start, start), text)
        document = types.VersionedTextDocumentIdentifier(self._version, self._uri)
        self._client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

    async def suggestion(self, line: int, character: int) -> None:
        """Wait for the suggestion at a place."""
        await self._client.text_document_inline_completion_async(
            types.InlineCompletionParams(
                context=types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic),
                text_document=types.TextDocumentIdentifier(self._uri),
                position=types.Position(line, character),
            )
        )

    def _logged(self, params: types.LogMessageParams) -> None:
        self.num_asked += "suggestions in" in params.message

    async def end(self) -> None:
        await self._client.shutdown_async(None)
        self._client.exit(None)
        await self._client.stop()  # type: ignore[no-untyped-call]


@contextmanager
def recording() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run a server that suggests nothing, and yield its URL and the bodies of its requests."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open, as those to the real server
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            answer = b'{"candidates": []}'
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_request(self, *_: Any) -> None:
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    server.server_close()


async def measure(url: str, folder: Path, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Return the seconds of the suggestions in the editor, of the requests to the server, and of suggestions
    in the editor with a model server that answers at once.
    """
    at_once: list[float] = []
    in_editor: list[float] = []
    direct: list[float] = []
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        for number in range(rounds):
            names = [f"{FILES[(number + offset) % len(FILES)]}.py" for offset in range(4)]
            text = (folder / names[-1]).read_text()
            line = next(
                index for index, one in enumerate(text.splitlines()) if index >= NUM_LINES // 2 and not one
            )
            with recording() as (recorder, bodies):
                editor = Editor(recorder, folder)
                await editor.start(names)
                await editor.type(line, 0, "        ")
                for index, key in enumerate(TYPED):
                    started = time.perf_counter()
                    await editor.type(line, 8 + index, key)
                    await editor.suggestion(line, 9 + index)
                    at_once.append(time.perf_counter() - started)
                await editor.end()
            asked = next(body for body in bodies if "parts" in body)
            prefix, suffix = asked["parts"]
            prefix = prefix.removesuffix(TYPED[0])
            editor = Editor(url, folder)
            await editor.start(names)
            await editor.type(line, 0, "        ")
            await editor.suggestion(line, 8)  # the first request computes the prompt
            for index, key in enumerate(TYPED):
                started = time.perf_counter()
                if index % 2 == number % 2:
                    await editor.type(line, 8 + index, key)
                    num_asked = editor.num_asked
                    await editor.suggestion(line, 9 + index)
                    if editor.num_asked > num_asked:  # else the key is the next one of what was shown
                        in_editor.append(time.perf_counter() - started)
                else:
                    body = {**asked, "parts": [prefix + TYPED[: index + 1], suffix]}
                    (await http.post("/v1/infill", json=body)).raise_for_status()
                    direct.append(time.perf_counter() - started)
                    await editor.type(line, 8 + index, key)
            await editor.end()
    return in_editor, direct, at_once


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--dtype")
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for module in FILES:
            lines = getsource(__import__(module)).splitlines(keepends=True)[:NUM_LINES]
            (folder / f"{module}.py").write_text("".join(lines))
        with serving(arguments.model, arguments.dtype) as url:
            in_editor, direct, at_once = asyncio.run(measure(url, folder, arguments.rounds))
    print(
        f"{arguments.model}, {arguments.dtype or 'float32'}; {arguments.rounds} files, "
        f"{len(in_editor)} and {len(direct)} keys"
    )
    rows = {
        "in the editor": in_editor,
        "to the server": direct,
        "in the editor, model answers at once": at_once,
    }
    for label, times in rows.items():
        print(f"{label:38} {statistics.median(times) * 1000:7.1f} ({percentile(times) * 1000:6.1f})")
    above = statistics.median(in_editor) - statistics.median(direct)
    print(f"{'difference of the first two':38} {above * 1000:7.1f}")


if __name__ == "__main__":
    main()
