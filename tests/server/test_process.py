"""`incoder serve` as a process, through real clients."""

import asyncio
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest

PROMPT, SUFFIX = "def mean(xs):\n    return ", "\n"


class Process:
    """A running `incoder serve`; `output` is what it has printed."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "incoder", "serve", "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._ready = threading.Event()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()
        assert self._ready.wait(240), self.lines
        (self.url,) = re.findall(r"ready: (\S+)", "".join(self.lines))

    def end(self, number: int = signal.SIGKILL) -> None:
        """Send the process a signal, and wait until it has ended."""
        self.process.send_signal(number)
        self.process.wait(timeout=10)
        self._reading.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if "more: incoder doctor" in line:  # the last line of the start
                self._ready.set()
        self._ready.set()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    process = Process()
    yield process.url
    process.end()


def test_openai_python_completes_infills_and_streams(server: str) -> None:
    client = openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0)
    whole = client.completions.create(
        model="mini", prompt=PROMPT, suffix=SUFFIX, temperature=0, max_tokens=16
    )
    stream = client.completions.create(
        model="mini",
        prompt=PROMPT,
        suffix=SUFFIX,
        temperature=0,
        max_tokens=16,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = stream
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert last.usage is not None
    assert whole.usage is not None
    assert last.usage.total_tokens == whole.usage.total_tokens
    assert [model.id for model in client.models.list()] == ["mini"]
    with pytest.raises(openai.NotFoundError, match="it serves mini"):
        client.completions.create(model="other", prompt="x")
    with pytest.raises(openai.BadRequestError, match="temperature must be"):
        client.completions.create(model="mini", prompt="x", temperature=-1)


def test_openai_python_streams_many_at_once(server: str) -> None:
    async def complete(client: openai.AsyncOpenAI, index: int) -> str:
        stream = await client.completions.create(
            model="mini", prompt=f"x{index} = ", max_tokens=6, temperature=0, stream=True
        )
        return "".join([chunk.choices[0].text async for chunk in stream])

    async def run() -> tuple[list[str], list[str]]:
        async with openai.AsyncOpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0) as client:
            together = await asyncio.gather(*(complete(client, index % 4) for index in range(8)))
            return together, [await complete(client, index % 4) for index in range(8)]

    together, alone = asyncio.run(run())
    assert together == alone


def test_a_server_that_others_could_reach_needs_a_key() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "incoder", "serve", "--host", "0.0.0.0"], capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "give --api-key-file FILE" in refused.stderr


def test_a_port_in_use_is_an_error_that_names_it(server: str) -> None:
    port = server.rpartition(":")[2]
    refused = subprocess.run(
        [sys.executable, "-m", "incoder", "serve", "--port", port], capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in refused.stderr


@pytest.mark.slow
def test_sigterm_ends_it_within_five_seconds_while_a_request_runs(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# ours\nsecret\n")
    process = Process("--api-key-file", str(keys))
    body = {"prompt": "x", "max_tokens": 2000, "temperature": 1, "stop": None}
    headers = {"authorization": "Bearer secret"}
    outcome: list[object] = []

    def post() -> None:
        try:
            answer = httpx2.post(f"{process.url}/v1/completions", json=body, headers=headers, timeout=60)
            outcome.append(answer.status_code)
        except httpx2.HTTPError as error:
            outcome.append(error)

    thread = threading.Thread(target=post)
    thread.start()
    time.sleep(0.5)
    started = time.monotonic()
    process.end(signal.SIGTERM)
    assert time.monotonic() - started < 5.5
    thread.join()
    assert "x" not in [line.strip() for line in process.lines]


@pytest.mark.slow
def test_after_kill_9_a_new_server_answers_on_the_same_port() -> None:
    first = Process()
    port = first.url.rpartition(":")[2]
    client = openai.OpenAI(base_url=f"{first.url}/v1", api_key="none", max_retries=8)
    assert client.completions.create(model="mini", prompt="x", max_tokens=1).choices
    first.end(signal.SIGKILL)
    second = Process("--port", port)
    assert client.completions.create(model="mini", prompt="x", max_tokens=1).choices
    second.end()
