from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from incoder.model.quantization import (
    QuantizedLinear,
    Stored,
    packed_rows,
    quantize,
    quantized_rows,
    set_compute_dtype,
)
from incoder.model.transformer import Transformer, TransformerConfig

LLAMA = TransformerConfig(
    "llama",
    vocab_size=97,
    hidden_size=128,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=32,
    inner_size=48,
    max_positions=64,
)
CONFIGS = {
    "llama": LLAMA,
    "untied, with biases": replace(LLAMA, tie_embeddings=False, qkv_bias=True, out_bias=True, mlp_bias=True),
    "xglm": replace(LLAMA, shape="xglm", num_kv_heads=4),
}


def random_model(config: TransformerConfig) -> Transformer:
    model = Transformer(config).eval()
    model.init_weights(torch.Generator().manual_seed(0))
    return model


def test_no_number_is_off_by_more_than_half_a_step_of_its_row() -> None:
    weight_OI = torch.randn(20, 50, generator=torch.Generator().manual_seed(0))
    weight_OI[3] *= 1000
    int8_OI, scale_O = quantized_rows(weight_OI)
    error_OI = (int8_OI * scale_O[:, None] - weight_OI).abs()
    assert (error_OI <= scale_O[:, None] * 0.501).all()
    torch.testing.assert_close(scale_O, weight_OI.abs().amax(dim=1) / 127)


def test_a_row_of_zeros_stays_one() -> None:
    int8_OI, scale_O = quantized_rows(torch.zeros(2, 5))
    assert not (int8_OI * scale_O[:, None]).any()


def test_large_layers_are_computed_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    weight_OI, bias_O = torch.randn(20, 50, generator=generator), torch.randn(20, generator=generator)
    layer = QuantizedLinear(*quantized_rows(weight_OI), bias_O)
    input_BTI = torch.randn(2, 3, 50, generator=generator)
    whole_BTO = layer(input_BTI)
    monkeypatch.setattr("incoder.model.quantization._CHUNK", 7 * 50)
    torch.testing.assert_close(layer(input_BTI), whole_BTO)
    torch.testing.assert_close(whole_BTO, input_BTI @ weight_OI.T + bias_O, rtol=0.05, atol=0.1)


@pytest.mark.parametrize(("quantized", "tolerance"), [(quantized_rows, 0.02), (packed_rows, 0.2)])
def test_large_matrices_are_turned_in_parts_with_the_same_result(
    quantized: Callable[[torch.Tensor], Stored], tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    weight_OI = torch.randn(20, 128, generator=generator)
    input_BI = torch.randn(6, 128, generator=generator)
    whole_BO = QuantizedLinear(*quantized(weight_OI))(input_BI)
    monkeypatch.setattr("incoder.model.quantization._CHUNK", 7 * 128)
    torch.testing.assert_close(QuantizedLinear(*quantized(weight_OI))(input_BI), whole_BO)
    exact_BO = input_BI @ weight_OI.T
    assert (whole_BO - exact_BO).norm() < tolerance * exact_BO.norm()


def test_the_kernel_unpacks_what_pytorch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    generator = torch.Generator().manual_seed(0)
    layer = QuantizedLinear(*packed_rows(torch.randn(20, 256, generator=generator)))
    input_BI = torch.randn(3, 256, generator=generator)
    by_kernel_BO = layer(input_BI)
    monkeypatch.setattr("incoder.model.quantization.has_kernels", lambda: False)
    torch.testing.assert_close(by_kernel_BO, layer(input_BI))


@pytest.mark.parametrize(("num_bits", "tolerance"), [(8, 0.03), (4, 0.2)])
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_a_quantized_model_says_nearly_the_same(
    name: str, stored: torch.dtype, num_bits: int, tolerance: float, device: torch.device
) -> None:
    model = random_model(CONFIGS[name]).to(device)
    token_ids_BT = torch.randint(97, (2, 20), generator=torch.Generator().manual_seed(1)).to(device)
    with torch.inference_mode():
        expected_BTV = model.logits(model(token_ids_BT))
        quantized = random_model(CONFIGS[name]).to(device, stored)
        quantize(quantized, num_bits=num_bits)
        logits_BTV = quantized.logits(quantized(token_ids_BT))
    assert logits_BTV.dtype == torch.float32
    assert (logits_BTV - expected_BTV).norm() < tolerance * expected_BTV.norm()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_a_widened_model_computes_in_float32_with_the_weights_that_it_keeps(
    name: str, stored: torch.dtype, device: torch.device
) -> None:
    kept, rounded = (random_model(CONFIGS[name]).to(device, stored) for _ in range(2))
    token_ids_BT = torch.randint(97, (2, 20), generator=torch.Generator().manual_seed(1)).to(device)
    with torch.inference_mode():
        set_compute_dtype(kept)
        logits_BTV = kept.logits(kept(token_ids_BT))
        expected_BTV = rounded.float().logits(rounded(token_ids_BT))
    torch.testing.assert_close(logits_BTV, expected_BTV)
    assert {buffer.dtype for buffer in kept.buffers() if buffer is not kept.position_table} == {stored}


def test_what_stays_in_floating_point_is_norms_and_biases() -> None:
    model = random_model(CONFIGS["xglm"])
    quantize(model)
    assert all(parameter.ndim == 1 for parameter in model.parameters())
    matrices = [
        buffer for buffer in model.buffers() if buffer.ndim == 2 and buffer is not model.position_table
    ]
    assert matrices
    assert all(matrix.dtype == torch.int8 for matrix in matrices)


def test_four_bits_are_for_matrices_of_blocks_whose_rows_can_be_packed() -> None:
    model = random_model(CONFIGS["untied, with biases"])
    quantize(model, num_bits=4)
    kept = {
        name: module.weight_OI.dtype
        for name, module in model.named_modules()
        if isinstance(module, QuantizedLinear)
    }
    can_be_packed = ("attention.qkv", "attention.out", "feed_forward.gate_up")
    assert {name for name, dtype in kept.items() if dtype == torch.uint8} == {
        f"blocks.{block}.{name}" for block in range(2) for name in can_be_packed
    }
    assert {name for name, dtype in kept.items() if dtype == torch.int8} == {
        "lm_head",
        "blocks.0.feed_forward.down",
        "blocks.1.feed_forward.down",
    }
