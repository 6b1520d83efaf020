"""Fetching models, by the hub's own client from a hub that this file plays."""

import errno
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from incoder.errors import IncoderError
from incoder.inference.models import catalogue, hub
from incoder.model import hugging_face

COMMIT = "1" * 40
FILES = {
    "config.json": b'{"model_type": "xglm"}',
    "tokenizer.json": b"{}",
    "README.md": b"---\nlicense: mit\n---\n",
    "model.safetensors": b"safe" * 1000,
    "pytorch_model.bin": b"pickled" * 1000,
    "flax_model.msgpack": b"flax",
}


@dataclass
class Hub:
    """What the hub has: one model's files; `refusal` is a status and an error code for all requests."""

    name = "owner/model"
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    damaged: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    refusal: tuple[int, str] | None = None
    endpoint: str = ""
    fetched: list[str] = field(default_factory=list)

    def listing(self) -> bytes:
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                "blobId": hashlib.sha1(data).hexdigest(),
                **({"lfs": self.lfs(data)} if name.startswith(("model", "pytorch")) else {}),
            }
            for name, data in self.files.items()
        ]
        return json.dumps({"id": self.name, "sha": COMMIT, "siblings": siblings}).encode()

    @staticmethod
    def lfs(data: bytes) -> dict[str, object]:
        return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    about = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            prefix = f"/{about.name}/resolve/main/"
            if about.refusal:
                self.answer(about.refusal[0], b"", {"X-Error-Code": about.refusal[1]})
            elif path == f"/api/models/{about.name}/revision/main":
                self.answer(200, about.listing(), {})
            elif path.startswith(prefix) and (name := path.removeprefix(prefix)) in about.files:
                self.send_file(name)
            else:
                self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})

        def send_file(self, name: str) -> None:
            data = about.files[name]
            etag = hashlib.sha256(data).hexdigest()
            if self.command == "GET":
                about.fetched.append(name)
                data = b"x" * len(data) if name in about.damaged else data
                data = data[:-10] if name in about.cut else data
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
            self.answer(200, data, headers)

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_request(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        about.endpoint = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield about
        http.shutdown()
        thread.join()


def fetch(server: Hub, cache: Path, revision: str | None = None) -> Path:
    return hub.fetch(server.name, revision, cache=cache, endpoint=server.endpoint)


def test_a_model_is_fetched_without_what_is_not_needed(server: Hub, tmp_path: Path) -> None:
    folder = fetch(server, tmp_path)
    needed = {"config.json", "tokenizer.json", "README.md", "model.safetensors"}
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        name: FILES[name] for name in needed
    }


def test_a_cached_model_needs_no_network(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch(server, tmp_path)
    num_fetched = len(server.fetched)
    assert fetch(server, tmp_path) == folder
    assert len(server.fetched) == num_fetched
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert hub.fetch(server.name, cache=tmp_path) == folder
    assert list(hub.cached_models(tmp_path)) == [(server.name, "main", folder)]


def test_pickles_in_several_files_are_fetched_where_there_is_nothing_else(
    server: Hub, tmp_path: Path
) -> None:
    del server.files["model.safetensors"], server.files["pytorch_model.bin"]
    shards = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    server.files |= {shard: shard.encode() for shard in shards}
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    server.files["pytorch_model.bin.index.json"] = json.dumps(index).encode()
    folder = fetch(server, tmp_path)
    assert all((folder / shard).read_text() == shard for shard in shards)


def test_a_half_fetched_model_is_completed(server: Hub, tmp_path: Path) -> None:
    folder = fetch(server, tmp_path)
    (folder / "model.safetensors").unlink()
    assert hub.cached_folder(server.name, cache=tmp_path) is None
    assert list(hub.cached_models(tmp_path)) == []
    assert fetch(server, tmp_path) == folder
    assert (folder / "model.safetensors").exists()


def test_a_model_with_a_broken_index_counts_as_half_fetched(server: Hub, tmp_path: Path) -> None:
    folder = fetch(server, tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text("{")
    assert hub.cached_folder(server.name, cache=tmp_path) is None
    assert list(hub.cached_models(tmp_path)) == []


def test_a_damaged_file_is_named_and_fetched_again(server: Hub, tmp_path: Path) -> None:
    server.damaged.add("model.safetensors")
    with pytest.raises(IncoderError, match=r"model\.safetensors of owner/model arrived damaged: its SHA-256"):
        fetch(server, tmp_path)
    server.damaged.clear()
    folder = fetch(server, tmp_path)
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_file_that_ends_too_early_is_an_error_and_fetched_again(server: Hub, tmp_path: Path) -> None:
    server.cut.add("model.safetensors")
    with pytest.raises(IncoderError, match=r"could not be fetched from the hub: .* size"):
        fetch(server, tmp_path)
    server.cut.clear()
    assert (fetch(server, tmp_path) / "model.safetensors").read_bytes() == FILES["model.safetensors"]


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((403, "GatedRepo"), "owner/model is gated: accept its terms at https://huggingface.co/owner/model"),
        ((404, "RepoNotFound"), "no folder owner/model here and no model of that name on the hub"),
        ((404, "RevisionNotFound"), "owner/model has no revision 'main' on the hub"),
    ],
)
def test_what_the_hub_refuses_is_said(
    server: Hub, tmp_path: Path, refusal: tuple[int, str], message: str
) -> None:
    server.refusal = refusal
    with pytest.raises(IncoderError, match=message):
        fetch(server, tmp_path)


def test_no_network_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(IncoderError, match=r"is not a folder and could not be fetched .* network"):
        hub.fetch("owner/model", cache=tmp_path, endpoint="http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(IncoderError, match=r"neither a folder nor in the cache at .* HF_HUB_OFFLINE forbids"):
        hub.fetch("owner/model", cache=tmp_path)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (["config.json"], "no model that can be loaded: it has no config.json"),
        (["model.safetensors", "pytorch_model.bin"], "has no weights: none of model.safetensors"),
        (["tokenizer.json"], "has no tokenizer.json"),
    ],
)
def test_a_model_without_what_is_needed_is_refused_before_fetching(
    server: Hub, tmp_path: Path, missing: list[str], message: str
) -> None:
    for name in missing:
        del server.files[name]
    with pytest.raises(IncoderError, match=message):
        fetch(server, tmp_path)
    assert server.fetched == []


def test_a_model_that_does_not_fit_on_the_disk_is_refused_before_its_weights(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=0)))
    with pytest.raises(IncoderError, match=r"needs 0\.0 GB more, and the disk with .* has 0\.0 GB"):
        fetch(server, tmp_path)
    assert server.fetched == ["config.json"]


def test_a_full_disk_is_a_clear_error(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", no_room)
    with pytest.raises(IncoderError, match=r"cannot fetch owner/model: the disk with .* is full"):
        fetch(server, tmp_path)


def test_the_cache_may_not_be_there(tmp_path: Path) -> None:
    assert list(hub.cached_models(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(
    ("name", "expected"), [("a/b-1.3B", True), ("mini", False), ("a/b/c", False), ("/a", False)]
)
def test_names_on_the_hub_have_an_owner(name: str, expected: bool) -> None:
    assert hub.is_hub_name(name) == expected


def test_the_catalogue_knows_the_architectures_that_load(tmp_path: Path) -> None:
    with pytest.raises(IncoderError) as refusal:
        hugging_face.from_hugging_face({"model_type": "mamba"}, tmp_path)
    known = str(refusal.value).partition("known are ")[2].split(", ")
    assert set(known) == catalogue._MODEL_TYPES
