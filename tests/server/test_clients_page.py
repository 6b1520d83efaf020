"""The examples of docs/clients.md run as they are written, against a server of this process."""

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from markdown_it import MarkdownIt

from incoder.server.app import create_app
from incoder.server.models.local_model import LocalSource
from incoder.server.settings import ServerSettings

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
ADDRESS = "http://127.0.0.1:8012"
EXAMPLES = [
    token.content
    for token in MarkdownIt().parse(PAGE.read_text(encoding="utf-8"))
    if token.type == "fence" and token.info == "sh"
]


@pytest.fixture(scope="module")
def address(source: LocalSource) -> Iterator[str]:
    """The address of a server that listens on a free port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(ServerSettings(), [source]), log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_every_dialect_has_an_example() -> None:
    routes = set(re.findall(re.escape(ADDRESS) + r"(/\S+)", "\n".join(EXAMPLES)))
    assert {
        *("/v1/completions", "/infill", "/completion", "/v1/fim/completions", "/beta/completions"),
        *("/v1/chat/completions", "/api/generate", "/v1/events"),
    } <= routes


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_as_it_is_written(example: str, address: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    command = example.replace(ADDRESS, address).replace(
        "curl ", "curl --silent --show-error --fail-with-body "
    )
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error" not in done.stdout
    if "/v1/events" not in example:
        assert done.stdout.strip()
