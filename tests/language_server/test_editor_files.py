"""The files in docs/editors are the settings that `incoder doctor` prints."""

import json
from pathlib import Path

import pytest

from incoder.language_server.editors import find_editor
from incoder.server.doctor.clients import find_client, settings_text

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "editors"
_URL = "http://127.0.0.1:8012"


@pytest.mark.parametrize(("file", "editor"), [("neovim.lua", "neovim"), ("emacs.el", "emacs")])
def test_editors_get_the_settings_of_the_doctor(file: str, editor: str) -> None:
    found = find_editor(editor)
    assert found is not None
    assert (FOLDER / file).read_text(encoding="utf-8") == found.settings + "\n"


@pytest.mark.parametrize(("file", "client"), [("llama.vim", "llama.vim"), ("continue.yaml", "continue")])
def test_clients_get_the_settings_of_the_doctor(file: str, client: str) -> None:
    settings = settings_text(find_client(client), _URL)
    assert (FOLDER / file).read_text(encoding="utf-8").endswith(settings + "\n")


def test_zed_gets_the_settings_of_the_doctor() -> None:
    settings = json.loads("{" + settings_text(find_client("zed"), _URL) + "}")
    assert json.loads((FOLDER / "zed.json").read_text(encoding="utf-8")) == settings


def test_next_edits_use_the_same_command_as_suggestions() -> None:
    command = "cmd = { 'incoder', 'lsp' }"
    for name in ("neovim.lua", "neovim-next-edits.lua"):
        assert command in (FOLDER / name).read_text(encoding="utf-8")
