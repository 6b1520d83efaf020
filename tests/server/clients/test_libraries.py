"""Client libraries of the dialects, from PyPI and npm."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.clients, pytest.mark.timeout(120)]

PREFIX, SUFFIX = "def add(a, b):\n    return a + ", "\n"

OLLAMA = """
import json, sys, ollama
client = ollama.Client(sys.argv[1])
names = [one.model for one in client.list().models]
capabilities = client.show("mini").capabilities
hole = {"model": "mini", "prompt": sys.argv[2], "suffix": sys.argv[3], "options": {"temperature": 0}}
whole = client.generate(**hole)
stream = client.generate(**hole, stream=True)
text = "".join(one.response for one in stream)
loaded = client.generate("mini", keep_alive="5m").done_reason
try:
    client.generate("none", "x")
except ollama.ResponseError as error:
    status = error.status_code
print(json.dumps([names, capabilities, whole.response, text, loaded, status]))
"""
MISTRAL = """
import json, sys
try:
    from mistralai import Mistral
except ImportError:
    from mistralai.client import Mistral
client = Mistral(api_key="none", server_url=sys.argv[1])
settings = {"model": "codestral-latest", "prompt": sys.argv[2], "suffix": sys.argv[3], "temperature": 0}
whole = client.fim.complete(**settings).choices[0].message.content
text = "".join(event.data.choices[0].delta.content for event in client.fim.stream(**settings))
print(json.dumps([whole, text]))
"""
NODE = """
import { Ollama } from "ollama";
import OpenAI from "openai";
const [url, prompt, suffix] = process.argv.slice(2);
const ollama = new Ollama({ host: url });
const hole = { model: "mini", prompt, suffix };
const stream = await ollama.generate({ ...hole, stream: true, options: { temperature: 0 } });
let streamed = "";
for await (const part of stream) streamed += part.response;
const openai = new OpenAI({ apiKey: "none", baseURL: url + "/v1" });
const answer = await openai.completions.create({ ...hole, temperature: 0, max_tokens: 128 });
console.log(JSON.stringify([streamed, answer.choices[0].text]));
"""


def run(*command: str | Path, folder: Path | None = None) -> Any:
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_ollamas_python_library(python: Path, server: Any) -> None:
    names, capabilities, whole, streamed, loaded, status = run(
        python, "-c", OLLAMA, server.url, PREFIX, SUFFIX
    )
    assert {"mini", "qwen2.5-coder:incoder"} <= set(names)
    assert capabilities == ["completion", "insert"]
    assert whole == streamed != ""
    assert (loaded, status) == ("load", 404)


def test_mistrals_python_library(python: Path, server: Any) -> None:
    whole, streamed = run(python, "-c", MISTRAL, server.url, PREFIX, SUFFIX)
    assert whole == streamed != ""


def test_ollamas_and_openais_node_libraries_get_the_same_infill(
    clients: Path, server: Any, tmp_path: Path
) -> None:
    modules, node = clients / "npm" / "node_modules", shutil.which("node")
    if node is None or not modules.is_dir():
        pytest.skip(f"needs node and the clients from npm: scripts/clients.sh {clients}")
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "client.mjs").write_text(NODE)
    streamed, whole = run(node, "client.mjs", server.url, PREFIX, SUFFIX, folder=tmp_path)
    assert streamed == whole != ""
