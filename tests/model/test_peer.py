"""Our logits against transformers' on the same random weights, in both directions."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from incoder.model.checkpoint import load_checkpoint, save_checkpoint
from incoder.model.rotary import RopeScaling
from incoder.model.transformer import Transformer

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "XGLMForCausalLM": ("xglm", {}),
    "LlamaForCausalLM": ("llama", {}),
    "LlamaForCausalLM-untied": ("llama", {"tie_embeddings": False}),
    "LlamaForCausalLM-wide-heads": ("llama", {"head_dim": 16, "rope_theta": 5e5, "norm_eps": 1e-6}),
    "LlamaForCausalLM-linear": ("llama", {"rope_theta": 1e5, "rope_scaling": RopeScaling(4.0)}),
    "LlamaForCausalLM-llama3": ("llama", {"rope_scaling": RopeScaling(8.0, 32, 1.0, 4.0)}),
    "LlamaForCausalLM-biases": ("llama", {"qkv_bias": True, "out_bias": True, "mlp_bias": True}),
    "Qwen2ForCausalLM": ("llama", {"qkv_bias": True}),
    "Starcoder2ForCausalLM": ("starcoder2", {"rope_theta": 999999.4420358813}),
    "Starcoder2ForCausalLM-untied": ("starcoder2", {"tie_embeddings": False}),
}


@pytest.fixture(params=FAMILIES)
def pair(request: pytest.FixtureRequest, make_model: Any, tmp_path: Path) -> tuple[Transformer, Any]:
    """Our model, and transformers' as it loads the folder that we saved."""
    shape, overrides = FAMILIES[request.param]
    model = make_model(shape, **overrides)
    save_checkpoint(model, tmp_path, dtype=torch.float32)
    peer, report = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert type(peer).__name__ == request.param.partition("-")[0]
    assert not any(report.values()), report
    return model, peer.eval()


@torch.no_grad()
def test_logits_equal_those_of_transformers(
    pair: tuple[Transformer, Any], token_ids_BT: torch.Tensor
) -> None:
    model, peer = pair
    logits = model.logits(model(token_ids_BT))
    assert logits.std() > 1
    assert_close(logits, peer(token_ids_BT).logits)


@torch.no_grad()
def test_left_padded_logits_equal_those_of_transformers(
    pair: tuple[Transformer, Any], token_ids_BT: torch.Tensor
) -> None:
    model, peer = pair
    num_padding = torch.tensor([[0], [3], [9]])
    is_token_BT = torch.arange(20) >= num_padding
    positions_BT = (torch.arange(20) - num_padding).clamp(min=0)
    mask = is_token_BT[:, None, None, :] & torch.ones(20, 20, dtype=torch.bool).tril()
    ours = model.logits(model(token_ids_BT, positions_BT=positions_BT, attention_mask=mask))
    theirs = peer(token_ids_BT, attention_mask=is_token_BT.long(), position_ids=positions_BT).logits
    assert_close(ours[is_token_BT], theirs[is_token_BT])


@torch.no_grad()
def test_a_folder_that_transformers_saved_loads_here(
    pair: tuple[Transformer, Any], token_ids_BT: torch.Tensor, tmp_path: Path
) -> None:
    model, peer = pair
    peer.save_pretrained(tmp_path / "theirs")
    loaded = load_checkpoint(tmp_path / "theirs")
    assert loaded.config == model.config
    assert_close(loaded(token_ids_BT), model(token_ids_BT))
