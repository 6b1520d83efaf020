"""Pushing to the hub: only a model's own files, private in doubt, and its refusals in one line."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from huggingface_hub.errors import LocalTokenNotFoundError, RepositoryNotFoundError

from incoder.errors import IncoderError
from incoder.inference.models.pushing import push, upload_of


class Hub:
    """The calls of huggingface_hub's client that are needed, with the repositories that exist."""

    def __init__(self, **is_private: bool) -> None:
        self.is_private = {f"team/{name}": private for name, private in is_private.items()}
        self.uploads: list[dict[str, Any]] = []

    def repo_info(self, name: str) -> SimpleNamespace:
        if name not in self.is_private:
            response = httpx2.Response(404, request=httpx2.Request("GET", "https://hub"))
            raise RepositoryNotFoundError("no such repository", response=response)
        return SimpleNamespace(private=self.is_private[name])

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.is_private.setdefault(name, private)

    def upload_folder(self, **upload: Any) -> SimpleNamespace:
        self.uploads.append(upload)
        return SimpleNamespace(repo_url=f"https://hub/{upload['repo_id']}")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a fine-tuning run, with the code that it read."""
    folder = tmp_path / "run"
    (folder / "adapter").mkdir(parents=True)
    (folder / "corpus").mkdir()
    (folder / "corpus" / "train.parquet").write_text("private code")
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "a/b"}))
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "adapter" / "README.md").write_text("# card\n")
    (folder / "adapter" / "notes.txt").write_text("mine")
    return folder


def test_only_the_files_of_the_model_are_pushed(run: Path) -> None:
    hub, upload = Hub(), upload_of(run)
    assert upload.names == ("README.md", "adapter_config.json", "adapter_model.safetensors")
    assert upload.notes == ("not pushed: notes.txt",)
    assert push(upload, "team/new", api=hub) == "https://hub/team/new"
    [pushed] = hub.uploads
    assert pushed["folder_path"] == run / "adapter"
    assert pushed["allow_patterns"] == list(upload.names)


def test_a_new_repository_is_private_unless_it_is_called_public(run: Path) -> None:
    hub = Hub()
    push(upload_of(run), "team/first", api=hub)
    push(upload_of(run), "team/second", is_public=True, api=hub)
    assert hub.is_private == {"team/first": True, "team/second": False}


def test_a_public_repository_gets_nothing_by_accident(run: Path) -> None:
    hub = Hub(known=False)
    with pytest.raises(IncoderError, match=r"team/known is public.*--public if that is meant"):
        push(upload_of(run), "team/known", api=hub)
    assert not hub.uploads


def test_an_adapter_of_a_base_that_is_not_on_the_hub_says_so(run: Path) -> None:
    (run / "adapter" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "mini"}))
    assert "names its base mini, which is not on the hub" in upload_of(run).notes[-1]


def test_what_cannot_be_pushed_is_one_line(run: Path, tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="neither an adapter nor a checkpoint"):
        upload_of(tmp_path)
    with pytest.raises(IncoderError, match="a name such as owner/model, got 'new'"):
        push(upload_of(run), "new", api=Hub())
    (run / "adapter" / "README.md").unlink()
    with pytest.raises(IncoderError, match="has no model card"):
        upload_of(run)


def test_a_missing_login_names_the_remedy(run: Path) -> None:
    class LoggedOut(Hub):
        def create_repo(self, *_: Any, **__: Any) -> None:
            raise LocalTokenNotFoundError("Token is required\n(`token=True`)")

    with pytest.raises(IncoderError, match="hf auth login") as raised:
        push(upload_of(run), "team/new", api=LoggedOut())
    assert "\n" not in str(raised.value)
