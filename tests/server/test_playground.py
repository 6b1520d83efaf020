"""The playground's page and files, the route that shows prompts, and the tokens that the page colours."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.server.fakes import FakeSource, facts

from incoder.inference.infill_model import InfillModel
from incoder.request import InfillRequest
from incoder.server.app import create_app
from incoder.server.models.local_model import LocalSource
from incoder.server.pages import playground
from incoder.server.settings import ServerSettings

TEXT = "import nu<FILL>\n\n\ndef f(x):\n    return <FILL>  # é🙂\n"
MOST_BYTES = 900_000
SOURCE = Path(__file__).parents[2] / "playground"
FILES = [route.path for route in playground.ROUTES]


@pytest.fixture(scope="module")
def keyed() -> Iterator[TestClient]:
    """A server that asks for a key."""
    app = create_app(ServerSettings(keys=("k",), salt_secret=b"s"), [FakeSource(facts("m"))])
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.parametrize("path", FILES)
def test_the_playground_is_public_and_calls_are_not(keyed: TestClient, path: str) -> None:
    assert keyed.get(path).status_code == 200
    assert keyed.get("/v1/models").status_code == 401
    assert keyed.post("/v1/infill/prompt", json={"text": "<FILL>"}).status_code == 401


@pytest.mark.parametrize(
    "path", ["/playground", "/playground/", "/playground/__init__.py", "/playground/../docs"]
)
def test_nothing_else_below_its_path_is_public(keyed: TestClient, path: str) -> None:
    assert keyed.get(path).status_code == 401


def test_the_page_allows_neither_inline_code_nor_other_origins(client: TestClient) -> None:
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=", answer.text) == []
    assert re.findall(r"(?:src|href)=\"(?!/)", answer.text) == []


def test_each_page_has_a_nonce_of_its_own(client: TestClient) -> None:
    nonces = set()
    for _ in range(3):
        answer = client.get("/")
        (nonce,) = re.findall(r"'nonce-([^']+)'", answer.headers["content-security-policy"])
        assert answer.text.count(f'nonce="{nonce}"') == 1
        assert answer.headers["cache-control"] == "no-store"
        nonces.add(nonce)
    assert len(nonces) == 3


def test_a_browser_that_has_a_file_does_not_get_it_again(client: TestClient) -> None:
    first = client.get("/playground/playground.js")
    again = client.get("/playground/playground.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/playground/playground.js", headers={"if-none-match": '"other"'})
    assert other.content == first.content


def test_the_files_of_the_playground_are_small_and_have_their_licences() -> None:
    folder = files(playground)
    built = [one for one in folder.iterdir() if not one.name.startswith("__")]
    assert sum(len(one.read_bytes()) for one in built) <= MOST_BYTES
    licences = folder.joinpath("LICENCES.txt").read_text(encoding="utf-8")
    for package in ("@codemirror/view", "@codemirror/merge", "@lezer/common", "style-mod", "w3c-keyname"):
        assert re.search(rf"^{package} \d+\.\d+\.\d+ \(MIT\)$", licences, re.MULTILINE), package


def test_the_files_of_the_playground_are_what_its_source_builds(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (SOURCE / "node_modules" / "esbuild").is_dir():
        pytest.skip("needs Node.js and the npm packages of playground/: make playground")
    subprocess.run([node, "build.mjs", tmp_path], cwd=SOURCE, check=True, timeout=60)
    built = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    folder = files(playground)
    assert built.keys() == {one.name for one in folder.iterdir() if not one.name.startswith("__")}
    for name, content in built.items():
        assert folder.joinpath(name).read_bytes() == content, f"{name} is not up to date: make playground"


def test_the_prompt_is_what_the_model_reads(client: TestClient, mini: InfillModel) -> None:
    answer = client.post("/v1/infill/prompt", json={"text": TEXT, "path": "a.py"})
    assert answer.status_code == 200
    shown = mini.shown_prompt(InfillRequest.from_settings(TEXT.split("<FILL>"), path="a.py"))
    tokens = answer.json()["tokens"]
    assert [token["id"] for token in tokens] == list(shown.token_ids)
    assert answer.json()["required_prefix"] == "import nu"
    special = [token["text"] for token in tokens if token["is_special"]]
    assert special == ["<|endoftext|>", "<|mask:0|>", "<|mask:1|>", "<|mask:2|>", "<|mask:0|>"]


def test_the_prompt_is_that_of_the_same_request_to_infill(client: TestClient) -> None:
    body = {"text": TEXT, "path": "a.py", "num_tail_lines": 0, "max_new_tokens": 1}
    shown = client.post("/v1/infill/prompt", json=body).json()
    filled = client.post("/v1/infill", json={**body, "echo": True}).json()
    assert [one["id"] for one in shown["tokens"]] == [one["id"] for one in filled["prompt_tokens"]]


@pytest.mark.parametrize(
    ("body", "status"), [({}, 400), ({"text": "x", "model": "y"}, 404), ({"parts": ["a"] * 65}, 400)]
)
def test_a_prompt_that_cannot_be_shown_is_refused(
    client: TestClient, body: dict[str, object], status: int
) -> None:
    assert client.post("/v1/infill/prompt", json=body).status_code == status


def test_a_model_whose_tokenizer_is_elsewhere_shows_no_prompt() -> None:
    app = create_app(ServerSettings(), [FakeSource(facts("m"))])
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert client.post("/v1/infill/prompt", json={"text": "<FILL>"}).status_code == 501


def test_the_tokens_of_a_prompt_spell_its_characters(client: TestClient, source: LocalSource) -> None:
    """A token that is part of a character has its bytes, so that a page can show the character."""
    body = {"text": "x = '🙂<FILL>'\n", "echo": True, "max_new_tokens": 1, "token_healing": False}
    tokens = client.post("/v1/infill", json={**body, "num_tail_lines": 0}).json()["prompt_tokens"]
    spelled = b"".join(bytes(one["bytes"]) if "bytes" in one else one["text"].encode() for one in tokens)
    assert "🙂".encode() in spelled
    assert any("bytes" in one for one in tokens)
    assert source.facts.name == "mini"
