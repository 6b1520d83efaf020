"""The VS Code extension: it has the language server's settings, and its own tests run with the server."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from incoder.language_server.settings import schema

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "integrations" / "vscode"
OF_EXTENSION = {"command", "arguments", "server"}
OF_MACHINE = {"model", "secret_files", "test_command", "trusted_folders"}  # a workspace may not set them


def as_vscode_has_it(setting: dict[str, Any], scope: str) -> dict[str, Any]:
    """A property of the JSON schema as VS Code's settings have it: types in a list, not alternatives."""
    converted = dict(setting)
    if alternatives := converted.pop("anyOf", None):
        for alternative in alternatives:
            converted |= alternative
        converted["type"] = [alternative["type"] for alternative in alternatives]
    converted["markdownDescription"] = converted.pop("description")
    return converted | {"scope": scope}


def test_every_setting_of_the_server_is_one_of_the_extension_with_its_words_and_ranges() -> None:
    manifest = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    contributed = manifest["contributes"]["configuration"]["properties"]
    assert {name: contributed.pop(f"incoder.{name}")["scope"] for name in OF_EXTENSION} == dict.fromkeys(
        OF_EXTENSION, "machine"
    )
    assert contributed == {
        f"incoder.{name}": as_vscode_has_it(setting, "machine" if name in OF_MACHINE else "window")
        for name, setting in schema()["properties"].items()
    }


@pytest.fixture(scope="module")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the extension with the packages that its lock file names."""
    if shutil.which("npm") is None:
        pytest.skip("needs Node.js and npm")
    folder = tmp_path_factory.mktemp("vscode") / "vscode"
    shutil.copytree(
        EXTENSION, folder, ignore=shutil.ignore_patterns("node_modules", "dist", "build", "*.vsix")
    )
    installed = run(folder, "npm", "ci", "--no-audit", "--no-fund")
    if installed.returncode:
        pytest.skip(f"needs packages from npm: {installed.stderr[-200:]}")
    return folder


def run(folder: Path, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.clients
@pytest.mark.timeout(900)
def test_it_is_typed_and_linted(extension: Path) -> None:
    linted = run(extension, "npm", "run", "lint")
    assert linted.returncode == 0, linted.stdout


@pytest.mark.clients
@pytest.mark.timeout(900)
def test_its_own_tests_pass_with_the_real_language_server(extension: Path, tmp_path: Path) -> None:
    program = tmp_path / "incoder"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m incoder "$@"\n')
    program.chmod(0o755)
    private = tmp_path / "run"
    private.mkdir(mode=0o700)
    done = run(
        extension,
        *("npm", "test"),
        INCODER_TEST_COMMAND=str(program),
        PYTHONPATH=str(ROOT / "src"),
        XDG_RUNTIME_DIR=str(private),
        XDG_STATE_HOME=str(private),
    )
    assert done.returncode == 0, done.stdout
    assert "# skipped 0" in done.stdout


@pytest.mark.clients
@pytest.mark.timeout(900)
def test_it_is_packaged_with_its_licences_and_without_sources(extension: Path) -> None:
    packaged = run(extension, "npm", "run", "package")
    assert packaged.returncode == 0, packaged.stderr
    (file,) = extension.glob("*.vsix")
    with zipfile.ZipFile(file) as archive:
        names = {name.removeprefix("extension/") for name in archive.namelist() if "extension/" in name}
        licences = archive.read("extension/dist/LICENSES.txt").decode()
    assert names == {
        *("package.json", "readme.md", "changelog.md", "LICENSE.txt"),
        *("dist/extension.js", "dist/LICENSES.txt"),
    }
    assert "vscode-languageclient 11" in licences
