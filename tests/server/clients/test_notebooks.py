"""CellSense through JupyterLab's server, and marimo's provider: infills in notebooks."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

PREFIX, SUFFIX = "import os\n\n\ndef size(path):\n    return os.", "\n"
FAMILIES = {
    "qwen2.5-coder": "qwen",
    "starcoder2": "starcoder",
    "codellama": "codellama",
    "deepseek-coder": "deepseek",
    "codestral": "codestral",
}


@pytest.fixture(scope="module")
def jupyter(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Any], Any]]:
    """JupyterLab with CellSense; call it with a route and a body."""
    folder = tmp_path_factory.mktemp("jupyter")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command: list[str | Path] = [
        python.parent / "jupyter",
        "lab",
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--IdentityProvider.token=secret",
        f"--ServerApp.root_dir={folder}",
    ]
    environment = {**os.environ, "HOME": str(folder)}

    def call(route: str, body: Any) -> Any:
        headers = {"Authorization": "token secret", "Content-Type": "application/json"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{route}", None if body is None else json.dumps(body).encode(), headers
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            for _ in range(240):
                with suppress(OSError):
                    call("/api", None)
                    break
                time.sleep(0.5)
            yield call
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.parametrize("provider", ["openai_compatible", "ollama"])
@pytest.mark.parametrize("family", FAMILIES)
def test_cellsense_completes_a_cell_in_every_familys_markers(
    provider: str, family: str, jupyter: Callable[[str, Any], Any], server: Any
) -> None:
    config = {
        "provider_type": provider,
        "base_url": server.url,  # without /v1
        "model": f"{family}:incoder",
        "model_family": FAMILIES[family],
        "max_tokens": 32,
        "stream_timeout_ms": 20_000,
    }
    assert jupyter("/cellsense/config", config)["ok"]
    cell = {"prefix": PREFIX, "suffix": SUFFIX, "language": "python", "file_path": "a.py"}
    completion = jupyter("/cellsense/complete", cell)["completion"]
    assert completion.strip()
    assert not any(mark in completion for mark in ("fim", "<PRE>", "[SUFFIX]"))


def test_cellsense_warms_up_by_ollamas_route(jupyter: Callable[[str, Any], Any], server: Any) -> None:
    config = {"provider_type": "ollama", "base_url": server.url, "model": "mini", "model_family": "other"}
    assert jupyter("/cellsense/config", config)["ok"]
    assert jupyter("/cellsense/warmup", {}) == {"ok": True, "warmed": True}


MARIMO = """
import asyncio, sys
from marimo._ai._types import ChatMessage  # noqa
from marimo._server.ai.prompts import FIM_MIDDLE_TAG, FIM_PREFIX_TAG, FIM_SUFFIX_TAG
from marimo._server.ai.providers import AnyProviderConfig, get_completion_provider
from marimo._server.api.endpoints.ai import SpanInfo, create_simple_prompt

config = AnyProviderConfig(base_url=sys.argv[1] + "/v1", api_key="none")
provider = get_completion_provider(config, model="incoder/mini")
prompt = FIM_PREFIX_TAG + sys.argv[2] + FIM_SUFFIX_TAG + sys.argv[3] + FIM_MIDDLE_TAG
answer = provider.completion(
    messages=[create_simple_prompt(prompt)],
    system_prompt="You complete code.",
    max_tokens=24,
    thinking=False,
    additional_tools=[],
    enable_capabilities=False,
    span_info=SpanInfo(endpoint="inline_completion", model="incoder/mini", language="python", session_id="a"),
)
print(asyncio.run(answer))
"""


def test_marimos_provider_gets_an_infill_although_it_breaks_the_markers(python: Path, server: Any) -> None:
    before = server.num_answered("chat")
    command = [python, "-c", MARIMO, server.url, PREFIX, SUFFIX]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
    assert server.num_answered("chat") == before + 1
