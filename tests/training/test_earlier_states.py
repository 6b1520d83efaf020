"""Runs of the release before go on: their states were nested, and their optimizers numbered parameters."""

from pathlib import Path

import pytest
import torch

from incoder.model.sizes import config_for
from incoder.model.transformer import Transformer
from incoder.training.checkpoint import load_state, tensor_text
from incoder.training.muon import Muon
from incoder.training.optimizer import Optimizers
from incoder.training.recipe import OptimizerSection

SIZES = {"hidden_size": 8, "num_layers": 2, "num_heads": 2, "num_kv_heads": 1, "inner_size": 8}


@pytest.mark.parametrize("name", ["muon", "adamw"])
@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_an_earlier_state_holds_the_same_tensors_by_their_flat_names(
    tmp_path: Path, name: str, tie_embeddings: bool
) -> None:
    model = Transformer(config_for("mini", "llama", vocab_size=9, tie_embeddings=tie_embeddings, **SIZES))
    model.init_weights(torch.Generator().manual_seed(0))
    ours = Optimizers(model, OptimizerSection(name=name, warmup_steps=0), torch.float32)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape)
    ours.step(0, 10)
    numbered = {
        "muon" if isinstance(optimizer, Muon) else "adamw": optimizer.state_dict()
        for optimizer in ours._optimizers.values()
    }
    position = {"epoch": 1, "group": 2, "row": 3, "window": 64}
    nested = {
        "step": 1,
        "tokens": 99,
        "model": model.state_dict(),
        "optimizers": numbered,
        "stream": position,
        "data_fingerprint": "abc",
    }
    torch.save(nested, tmp_path / "step-00000001.pt")
    flat = load_state(tmp_path / "step-00000001.pt")
    expected = {f"model.{key}": value for key, value in model.state_dict().items()} | ours.state()
    assert set(expected) == {key for key in flat if not key.startswith("run.")}
    assert all(torch.equal(flat[key], value) for key, value in expected.items())
    assert tensor_text(flat["run.data_fingerprint"]) == "abc"
    numbers = {"step": 1, "tokens": 99, "epoch": 1, "chunk": 2, "row": 3, "window": 64}
    assert {key: int(flat[f"run.{key}"]) for key in numbers} == numbers
