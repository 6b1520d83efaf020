"""The step against the network's own forward pass."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from incoder.inference.token_step import TokenStep, lay_out_for_steps
from incoder.model.quantization import quantize, widen
from incoder.model.rotary import RopeScaling
from incoder.model.row_products import MAX_ROWS, row_product
from incoder.model.transformer import KVCache, Shape, Transformer, TransformerConfig

LLAMA = TransformerConfig(
    "llama",
    vocab_size=97,
    hidden_size=32,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=16,  # not hidden_size / num_heads, as in some families
    inner_size=48,
    max_positions=64,
)
CONFIGS = {
    "llama": LLAMA,
    "qwen2": replace(LLAMA, qkv_bias=True),
    "untied": replace(LLAMA, tie_embeddings=False),
    "as many key heads as heads": replace(LLAMA, num_kv_heads=4),
    "starcoder2": replace(LLAMA, shape="starcoder2", head_dim=8),
    "stretched positions": replace(LLAMA, rope_scaling=RopeScaling(4.0)),
    "xglm": replace(LLAMA, shape="xglm", num_kv_heads=4, head_dim=8),
}


def random_model(config: TransformerConfig) -> Transformer:
    model = Transformer(config).eval()
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=stream)
    return model


def step(
    model: Transformer,
    token_ids_B: Tensor,
    cache: KVCache,
    positions: Tensor | None = None,
    mask_BS: Tensor | None = None,
) -> Tensor:
    """One token in every row of an ordinary cache."""

    def attend(layer: int, q_BHd: Tensor, k_BKd: Tensor, v_BKd: Tensor) -> Tensor:
        keys, values = cache.append(layer, k_BKd[:, :, None], v_BKd[:, :, None])
        mask = None if mask_BS is None else mask_BS[:, None, None]
        return F.scaled_dot_product_attention(
            q_BHd[:, :, None], keys, values, attn_mask=mask, enable_gqa=q_BHd.shape[1] != k_BKd.shape[1]
        )[:, :, 0]

    cache.reserve(cache.length + 1)
    logits_BV = TokenStep(model)(token_ids_B, cache.length if positions is None else positions, attend)
    cache.length += 1
    return logits_BV


def read_cache(model: Transformer, num_rows: int, num_tokens: int) -> KVCache:
    cache = KVCache(model.config, num_rows, 4, model.dtype)
    stream = torch.Generator().manual_seed(1)
    model(torch.randint(97, (num_rows, num_tokens), generator=stream), cache=cache)
    return cache


def test_a_step_of_a_small_quantized_model_is_a_forward_pass() -> None:
    model = random_model(LLAMA)
    quantize(model)
    with torch.inference_mode():
        cache, other = (KVCache(LLAMA, 1, 4, torch.float32) for _ in range(2))
        logits_BV = step(model, torch.tensor([3]), cache)
        expected_BV = model.logits(model(torch.tensor([[3]]), cache=other)[:, 0])
    torch.testing.assert_close(logits_BV, expected_BV, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("is_turned", [False, True])
def test_a_step_is_a_forward_pass(name: str, is_turned: bool) -> None:
    model = random_model(CONFIGS[name])
    if is_turned:
        lay_out_for_steps(model)
    token_ids_B = torch.tensor([3, 5, 96])
    with torch.inference_mode():
        cache, other = read_cache(model, 3, 7), read_cache(model, 3, 7)
        for _ in range(3):
            logits_BV = step(model, token_ids_B, cache)
            expected_BV = model.logits(model(token_ids_B[:, None], cache=other)[:, 0])
            torch.testing.assert_close(logits_BV, expected_BV, rtol=1e-4, atol=1e-4)
    assert cache.length == other.length == 10
    torch.testing.assert_close(cache.keys[1][:, :, :10], other.keys[1][:, :, :10], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_rows_may_have_positions_and_masks_of_their_own(name: str) -> None:
    model = random_model(CONFIGS[name])
    token_ids_B, positions_B = torch.tensor([3, 5]), torch.tensor([7, 4])
    mask_BS = torch.ones(2, 8, dtype=torch.bool)
    mask_BS[1, 2:5] = False
    with torch.inference_mode():
        cache, other = read_cache(model, 2, 7), read_cache(model, 2, 7)
        logits_BV = step(model, token_ids_B, cache, positions_B, mask_BS)
        hidden_BTD = model(
            token_ids_B[:, None],
            positions_BT=positions_B[:, None],
            attention_mask=mask_BS[:, None, None],
            cache=other,
        )
        torch.testing.assert_close(logits_BV, model.logits(hidden_BTD[:, 0]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_rows", [1, MAX_ROWS, MAX_ROWS + 1])
@pytest.mark.parametrize("kept", [torch.float32, torch.bfloat16, torch.int8])
@pytest.mark.parametrize("shape", ["llama", "xglm"])
def test_a_step_with_row_products_is_a_forward_pass(shape: Shape, kept: torch.dtype, num_rows: int) -> None:
    pytest.importorskip("numba")
    wide = replace(LLAMA, shape=shape, hidden_size=520, head_dim=130, num_kv_heads=4, inner_size=530)
    model = random_model(wide)
    if kept == torch.int8:
        quantize(model)
    elif kept == torch.bfloat16:
        widen(model.to(kept))
    else:
        assert row_product(model.get_parameter("blocks.0.feed_forward.down.weight")) is not None
    lay_out_for_steps(model)
    token_ids_B = torch.arange(num_rows)
    with torch.inference_mode():
        cache, other = read_cache(model, num_rows, 7), read_cache(model, num_rows, 7)
        logits_BV = step(model, token_ids_B, cache)
        expected_BV = model.logits(model(token_ids_B[:, None], cache=other)[:, 0])
    torch.testing.assert_close(logits_BV, expected_BV, rtol=1e-3, atol=1e-3)


def test_a_step_in_bfloat16_is_near() -> None:
    model = random_model(LLAMA).bfloat16()
    token_ids_B = torch.tensor([3])
    with torch.inference_mode():
        cache, other = read_cache(model, 1, 7), read_cache(model, 1, 7)
        logits_BV = step(model, token_ids_B, cache)
        expected_BV = model.logits(model(token_ids_B[:, None], cache=other)[:, 0])
    torch.testing.assert_close(logits_BV, expected_BV, rtol=0.1, atol=0.5)


def test_turning_the_matrices_changes_no_value() -> None:
    model = random_model(LLAMA)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    lay_out_for_steps(model)
    assert model.output_weight is model.embedding.weight
    assert model.output_weight.t().is_contiguous()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
