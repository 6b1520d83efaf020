"""Low-rank adaptation: begins as the base, trains only thin matrices, and is saved as it computes."""

from pathlib import Path

import pytest
import torch

from incoder.errors import IncoderError
from incoder.model.adapters import load_adapter, merge, save_adapter
from incoder.model.sizes import config_for
from incoder.model.transformer import Shape, Transformer
from incoder.training.lora import adapter_of, add_adapters

SHAPES: tuple[Shape, ...] = ("llama", "xglm", "starcoder2")


def make_model(shape: Shape) -> Transformer:
    sizes = {"hidden_size": 48, "num_layers": 2, "num_heads": 4, "inner_size": 80, "max_positions": 64}
    kv_heads = {"num_kv_heads": 2} if shape == "llama" else {}
    model = Transformer(config_for("mini", shape, vocab_size=101, **sizes, **kv_heads))
    model.init_weights(torch.Generator().manual_seed(1))
    return model


@pytest.fixture
def token_ids_BT() -> torch.Tensor:
    return torch.randint(4, 101, (3, 20), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("shape", SHAPES)
def test_before_the_first_step_an_adapted_model_is_its_base(shape: Shape, token_ids_BT: torch.Tensor) -> None:
    base, adapted = make_model(shape), make_model(shape)
    add_adapters(adapted, rank=4)
    assert torch.equal(adapted(token_ids_BT), base(token_ids_BT))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_trained_adapter_merges_into_the_weights_that_it_was_trained_with(
    shape: Shape, token_ids_BT: torch.Tensor, tmp_path: Path
) -> None:
    base, adapted = make_model(shape), make_model(shape)
    frozen = {name: weight.clone() for name, weight in base.state_dict().items()}
    fingerprint = add_adapters(adapted, rank=4, alpha=8.0)
    trained = [weight for weight in adapted.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        adapted.logits(adapted(token_ids_BT)).logsumexp(-1).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for name, weight in adapted.state_dict().items():
        if not name.endswith("down") and ".ups." not in name:
            assert torch.equal(weight, frozen[name.replace(".base.", ".")])
    adapter = adapter_of(adapted, alpha=8.0, base_name=None, base_fingerprint=fingerprint)
    save_adapter(adapter, tmp_path)
    merged = make_model(shape)
    merge(merged, load_adapter(tmp_path, merged.config))
    with torch.no_grad():
        expected = adapted(token_ids_BT)
        assert (expected - base(token_ids_BT)).abs().max() > 0.1
        torch.testing.assert_close(merged(token_ids_BT), expected, rtol=1e-5, atol=1e-5)


def test_equal_seeds_make_equal_adapters() -> None:
    first, second, third = (make_model("llama") for _ in range(3))
    for model, seed in ((first, 3), (second, 3), (third, 4)):
        add_adapters(model, rank=2, seed=seed)
    name = "blocks.1.attention.qkv.down"
    assert torch.equal(first.get_parameter(name), second.get_parameter(name))
    assert not torch.equal(first.get_parameter(name), third.get_parameter(name))


@pytest.mark.parametrize(("rank", "alpha", "message"), [(0, 1.0, "from 1 to 1024"), (4, -1.0, "positive")])
def test_ranks_and_scales_out_of_range_are_refused(rank: int, alpha: float, message: str) -> None:
    with pytest.raises(IncoderError, match=message):
        add_adapters(make_model("llama"), rank=rank, alpha=alpha)
