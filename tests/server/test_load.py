"""Many clients at once, some of which leave: nothing is lost, and nothing stays behind."""

import asyncio
import os
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.server.test_process import Process

SECONDS = float(os.environ.get("INCODER_TEST_LOAD_SECONDS", "60"))
NUM_CLIENTS = 64
FILE = "import os\n\n\ndef main(path):\n    for name in os.listdir(path):\n        print(name)\n" * 4
BODIES: list[dict[str, Any]] = [
    {
        "prompt": FILE + f"\n\ndef f{number}(x):\n    ",
        "suffix": "\n" if number % 2 else None,
        "max_tokens": 2 + number,
        "temperature": 0.0 if number % 3 else 0.8,
        "n": 1 + number % 2,
        "seed": number,
    }
    for number in range(8)
]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_clients_that_come_and_go_get_the_answers_of_a_quiet_server() -> None:
    process = Process("--dtype", "float32")
    try:
        asyncio.run(_load(process))
    finally:
        process.end()


async def _load(process: Process) -> None:
    limits = httpx2.Limits(max_connections=2 * NUM_CLIENTS)
    status = Path(f"/proc/{process.process.pid}/status")
    async with httpx2.AsyncClient(base_url=process.url, timeout=120, limits=limits) as client:
        expected = [await _texts(client, body) for body in BODIES]
        sizes: list[int] = []
        counts = {"answered": 0, "left": 0}
        end = time.monotonic() + SECONDS

        async def visit(seed: int) -> None:
            chosen = random.Random(seed)
            while time.monotonic() < end:
                index = chosen.randrange(len(BODIES))
                patience = chosen.uniform(0, 0.3) if chosen.random() < 0.3 else None
                try:
                    async with asyncio.timeout(patience):
                        assert await _texts(client, BODIES[index]) == expected[index]
                    counts["answered"] += 1
                except TimeoutError:
                    counts["left"] += 1

        async def measure() -> None:
            while time.monotonic() < end:
                await asyncio.sleep(SECONDS / 10)
                sizes.append(_resident_kilobytes(status))

        await asyncio.gather(measure(), *(visit(seed) for seed in range(NUM_CLIENTS)))
        assert counts["answered"] > NUM_CLIENTS
        assert counts["left"] > 0
        assert sizes[-1] < 1.1 * sizes[len(sizes) // 2]
        for _ in range(100):
            page = (await client.get("/metrics")).text
            running, waiting = (
                float(re.findall(rf"^incoder_requests_{name} (\S+)$", page, re.MULTILINE)[0])
                for name in ("running", "waiting")
            )
            if running == waiting == 0:
                break
            await asyncio.sleep(0.1)
        assert (running, waiting) == (0, 0)
        assert await _texts(client, BODIES[0]) == expected[0]


def _resident_kilobytes(status: Path) -> int:
    return int(re.findall(r"^VmRSS:\s+(\d+)", status.read_text(), re.MULTILINE)[0])


async def _texts(client: httpx2.AsyncClient, body: dict[str, Any]) -> list[str]:
    answer = await client.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    return [choice["text"] for choice in answer.json()["choices"]]
