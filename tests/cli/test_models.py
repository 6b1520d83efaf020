import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunCli = Callable[..., Any]


@pytest.fixture
def embedded(tiny_checkpoint: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_cache
    monkeypatch.setattr("incoder.embedded_models.EMBEDDED", tiny_checkpoint.parent)


@pytest.mark.usefixtures("embedded")
def test_embedded_models_are_listed(run_cli: RunCli) -> None:
    outcome = run_cli("models")
    assert outcome.stdout.startswith(
        b"checkpoint  0.0 M parameters, 0 MB, context of 256 tokens, format causal-masking, "
        b"licence apache-2.0"
    )
    (model,) = json.loads(run_cli("models", "--json").stdout)["models"]
    assert model["name"] == "checkpoint"


@pytest.mark.usefixtures("embedded")
def test_models_in_the_cache_are_listed(run_cli: RunCli, put_in_cache: Any) -> None:
    put_in_cache("owner/nonsense", "float16")
    (_, model) = json.loads(run_cli("models", "--json").stdout)["models"]
    assert (model["name"], model["infilling_format"]) == ("owner/nonsense", "causal-masking")
    about = run_cli("models", "info", "owner/nonsense", "--revision", "float16").stdout
    assert b"\nformat          causal-masking\n" in about


@pytest.mark.usefixtures("embedded")
@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[" * 200_000,
        '{"model_type": ["llama"]}',
        '{"model_type": "llama", "vocab_size": "640", "max_position_embeddings": 256}',
        '{"model_type": "llama", "vocab_size": 640, "max_position_embeddings": null}',
        '{"model_type": "starcoder2", "vocab_size": 1, "max_position_embeddings": 1, "sliding_window": {}}',
    ],
)
def test_a_damaged_model_in_the_cache_does_not_hide_the_others(
    run_cli: RunCli, put_in_cache: Any, hub_cache: Path, config: str
) -> None:
    put_in_cache("owner/damaged", "main")
    put_in_cache("owner/nonsense", "main")
    (hub_cache / "models--owner--damaged" / "snapshots" / ("0" * 40) / "config.json").write_text(config)
    models = json.loads(run_cli("models", "--json").stdout)["models"]
    assert [model["name"] for model in models] == ["checkpoint", "owner/nonsense"]


def test_a_model_in_the_cache_fills(run_cli: RunCli, put_in_cache: Any) -> None:
    put_in_cache("owner/nonsense", "float16")
    options = ("--model", "owner/nonsense", "--revision", "float16", "--format", "causal-masking")
    outcome = run_cli("fill", "-", *options, "--max-new-tokens", "2", stdin=b"x = <FILL>\n")
    assert outcome.status == 0
    assert outcome.stdout.startswith(b"x = ")


@pytest.mark.usefixtures("hub_cache")
def test_without_a_network_a_model_that_is_not_cached_is_named(run_cli: RunCli) -> None:
    outcome = run_cli("fill", "-", "--model", "facebook/incoder-1B", stdin=b"x = <FILL>\n")
    assert outcome.status == 1
    assert "facebook/incoder-1B (revision main) is neither a folder nor in the cache at" in outcome.stderr
    outcome = run_cli("models", "info", "facebook/incoder-1B")
    assert "is neither a folder nor in the cache; filling with it once fetches it" in outcome.stderr


def test_a_format_that_does_not_fit_is_an_error(run_cli: RunCli, tiny_checkpoint: Path) -> None:
    outcome = run_cli("fill", "-", "--model", tiny_checkpoint, "--format", "starcoder", stdin=b"x = <FILL>\n")
    assert outcome.status == 1
    assert "the vocabulary has no <fim_prefix>, which the infilling format starcoder needs" in outcome.stderr


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


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model_type": ["llama"]}, "config.json must name its model_type, got ['llama']"),
        ({"vocab_size": "640"}, "as vocab_size, got '640'"),
        ({"max_position_embeddings": -1}, "as max_position_embeddings, got -1"),
    ],
)
def test_a_broken_configuration_is_described_as_such(
    run_cli: RunCli, tiny_checkpoint: Path, tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "model")
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, **change}))
    outcome = run_cli("models", "info", str(tmp_path / "model"))
    assert outcome.status == 1
    assert complaint in " ".join(outcome.stderr.split())


def test_the_folder_of_an_adapter_is_called_so(run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").touch()
    for command in (("models", "info", str(tmp_path)), ("fill", "-", "--model", str(tmp_path))):
        outcome = run_cli(*command, stdin=b"x = <FILL>\n")
        assert outcome.status == 1
        assert "LoRA adapter" in " ".join(outcome.stderr.split())
