import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from incoder.inference import catalogue

RunCli = Callable[..., Any]


@pytest.fixture
def embedded(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "EMBEDDED", tiny_checkpoint.parent)


@pytest.mark.usefixtures("embedded")
def test_embedded_models_are_listed(run_cli: RunCli) -> None:
    outcome = run_cli("models")
    assert outcome.stdout.startswith(
        b"checkpoint  0.0 M parameters, 0 MB, context of 256 tokens, licence apache-2.0"
    )
    (model,) = json.loads(run_cli("models", "--json").stdout)["models"]
    assert model["name"] == "checkpoint"


def test_one_model_is_described(run_cli: RunCli, tiny_checkpoint: Path) -> None:
    outcome = run_cli("models", "info", tiny_checkpoint)
    assert b"\ncontext         256 tokens\n" in outcome.stdout
    about = json.loads(run_cli("models", "info", tiny_checkpoint, "--json").stdout)
    assert about["architecture"] == "llama"
    assert about["num_parameters"] == 640 * 32 + 2 * (2 * 32 + 64 * 32 + 32 * 32 + 3 * 64 * 32) + 32
    assert about["licence"] == "apache-2.0"


def test_a_folder_without_a_checkpoint_is_refused(run_cli: RunCli, tmp_path: Path) -> None:
    outcome = run_cli("models", "info", tmp_path)
    assert outcome.status == 1
    assert "is not a checkpoint: it has no config.json" in outcome.stderr
