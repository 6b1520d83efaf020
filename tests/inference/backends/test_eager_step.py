"""The step against the network's own forward pass."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from incoder.inference.backends.eager_step import EagerStep, store_column_major
from incoder.inference.backends.layers import read_layers
from incoder.model.gemv import MAX_ROWS, MAX_ROWS_QUANTIZED, make_gemv
from incoder.model.quantization import QuantizedLinear, quantize, set_compute_dtype
from incoder.model.rotary import RopeScaling
from incoder.model.transformer import Shape, Transformer, TransformerConfig

CPU = torch.device("cpu")
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
    "granite code": replace(LLAMA, qkv_bias=True, out_bias=True, mlp_bias=True),
    "untied": replace(LLAMA, tie_embeddings=False),
    "as many key heads as heads": replace(LLAMA, num_kv_heads=4),
    "starcoder2": replace(LLAMA, shape="starcoder2", head_dim=8),
    "stretched positions": replace(LLAMA, rope_scaling=RopeScaling(4.0)),
    "xglm": replace(LLAMA, shape="xglm", num_kv_heads=4, head_dim=8),
}


def random_model(config: TransformerConfig, device: torch.device = CPU) -> Transformer:
    model = Transformer(config).eval()
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=stream)
    return model.to(device)


def step_through(
    model: Transformer, rows_BT: Tensor, positions_BT: Tensor | None = None, is_token_BT: Tensor | None = None
) -> Tensor:
    """The logits after the last column of the rows, which are read one column at a time."""
    read: dict[int, tuple[Tensor, Tensor]] = {}
    step = EagerStep(read_layers(model))
    for place, token_ids_B in enumerate(rows_BT.unbind(1)):
        mask = None
        if is_token_BT is not None:
            mask = is_token_BT[:, : place + 1].clone()
            mask[:, place] = True  # padding sees itself, so that it is a number

        def attend(
            layer: int, q_BHd: Tensor, k_BKd: Tensor, v_BKd: Tensor, mask: Tensor | None = mask
        ) -> Tensor:
            new = k_BKd[:, :, None], v_BKd[:, :, None]
            both = (
                [torch.cat(pair, dim=2) for pair in zip(read[layer], new, strict=True)]
                if layer in read
                else new
            )
            read[layer] = both[0], both[1]
            return F.scaled_dot_product_attention(
                q_BHd[:, :, None],
                *read[layer],
                attn_mask=None if mask is None else mask[:, None, None],
                enable_gqa=q_BHd.shape[1] != k_BKd.shape[1],
            )[:, :, 0]

        positions = place if positions_BT is None else positions_BT[:, place]
        logits_BV = step(token_ids_B, positions, attend)
    return logits_BV


def random_rows(num_rows: int, num_tokens: int, device: torch.device = CPU) -> Tensor:
    stream = torch.Generator().manual_seed(1)
    return torch.randint(97, (num_rows, num_tokens), generator=stream).to(device)


def logits_at_once(model: Transformer, rows_BT: Tensor) -> Tensor:
    return model.logits(model(rows_BT)[:, -1])


@torch.inference_mode()
def test_steps_of_a_small_quantized_model_are_a_forward_pass(device: torch.device) -> None:
    model, rows_BT = random_model(LLAMA, device), random_rows(1, 3, device)
    quantize(model)
    torch.testing.assert_close(
        step_through(model, rows_BT), logits_at_once(model, rows_BT), rtol=1e-4, atol=1e-4
    )


@torch.inference_mode()
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("is_turned", [False, True])
def test_steps_are_a_forward_pass(
    name: str, is_turned: bool, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incoder.inference.backends.eager_step.has_kernels", lambda: False)
    model, rows_BT = random_model(CONFIGS[name], device), random_rows(3, 10, device)
    expected_BV = logits_at_once(model, rows_BT)
    if is_turned:
        store_column_major(model)
    torch.testing.assert_close(step_through(model, rows_BT), expected_BV, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("name", CONFIGS)
def test_rows_may_have_positions_and_masks_of_their_own(name: str, device: torch.device) -> None:
    model, rows_BT = random_model(CONFIGS[name], device), random_rows(2, 8, device)
    is_token_BT = torch.ones(2, 8, dtype=torch.bool, device=device)
    is_token_BT[1, :3] = False
    positions_BT = torch.stack((torch.arange(8), (torch.arange(8) - 3).clamp(min=0))).to(device)
    logits_BV = step_through(model, rows_BT, positions_BT, is_token_BT)
    expected_BV = torch.cat([logits_at_once(model, rows_BT[:1]), logits_at_once(model, rows_BT[1:, 3:])])
    torch.testing.assert_close(logits_BV, expected_BV, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("num_rows", [1, MAX_ROWS, MAX_ROWS + 1, MAX_ROWS_QUANTIZED + 1])
@pytest.mark.parametrize("kept", ["float32", "bfloat16", "int8", "int4"])
@pytest.mark.parametrize("shape", ["llama", "xglm"])
def test_steps_with_row_products_are_a_forward_pass(
    shape: Shape, kept: str, num_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr("incoder.model.gemv._MIN_BYTES", 0)
    wide = replace(LLAMA, shape=shape, hidden_size=520, head_dim=130, num_kv_heads=4, inner_size=530)
    if kept == "int4":  # of the widths, those that rows can be packed in
        wide = replace(wide, hidden_size=512, head_dim=128, inner_size=640)
    model = random_model(wide)
    if kept in ("int8", "int4"):
        quantize(model, num_bits=int(kept.removeprefix("int")))
    elif kept == "bfloat16":
        set_compute_dtype(model.to(torch.bfloat16))
    down = model.get_submodule("blocks.0.feed_forward.down")
    if isinstance(down, QuantizedLinear):
        assert make_gemv(down.weight_OI, down.scale) is not None
    else:
        assert make_gemv(model.get_parameter("blocks.0.feed_forward.down.weight")) is not None
    rows_BT = random_rows(num_rows, 4)
    expected_BV = logits_at_once(model, rows_BT)
    torch.testing.assert_close(step_through(model, rows_BT), expected_BV, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_steps_in_bfloat16_are_near(device: torch.device) -> None:
    model, rows_BT = random_model(LLAMA, device).bfloat16(), random_rows(1, 8, device)
    torch.testing.assert_close(
        step_through(model, rows_BT), logits_at_once(model, rows_BT), rtol=0.1, atol=0.5
    )


def test_turning_the_matrices_changes_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incoder.inference.backends.eager_step.has_kernels", lambda: False)
    model = random_model(LLAMA)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    store_column_major(model)
    assert model.output_weight is model.embedding.weight
    assert model.output_weight.t().is_contiguous()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
