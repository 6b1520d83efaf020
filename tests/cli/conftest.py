"""The real command line, in this process, and a model of random weights to run it with."""

import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from incoder.cli.main import main
from incoder.model.checkpoint import save_checkpoint
from incoder.model.transformer import Transformer, TransformerConfig
from incoder.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: bytes
    stderr: str


RunCli = Callable[..., Outcome]


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> RunCli:
    """Run `incoder` with these arguments, and these bytes as standard input."""

    def run(*arguments: str | Path, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["incoder", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as exit_info:
            main()
        captured = capsysbinary.readouterr()
        assert isinstance(exit_info.value.code, int)
        return Outcome(exit_info.value.code, captured.out, captured.err.decode())

    return run


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder; the model in it writes nonsense, always the same."""
    config = TransformerConfig(
        "llama",
        vocab_size=tiny_tokenizer.vocab_size,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        inner_size=64,
        max_positions=256,
    )
    model = Transformer(config)
    model.init_weights(torch.Generator().manual_seed(0))
    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    save_checkpoint(model, folder, tokenizer=tiny_tokenizer)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Nonsense\n")
    return folder


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of models from the hub, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def put_in_cache(hub_cache: Path, tiny_checkpoint: Path) -> Callable[[str, str], None]:
    """Put the tiny model into the cache under this name and revision, as the hub's client does."""

    def put(name: str, revision: str) -> None:
        repository = hub_cache / f"models--{name.replace('/', '--')}"
        shutil.copytree(tiny_checkpoint, repository / "snapshots" / ("0" * 40))
        (repository / "refs").mkdir()
        (repository / "blobs").mkdir()
        (repository / "refs" / revision).write_text("0" * 40)

    return put
