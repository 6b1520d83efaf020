from pathlib import Path
from typing import Any

import pytest
import torch

from incoder.errors import IncoderError
from incoder.model.hugging_face import from_hugging_face, to_hugging_face
from incoder.model.rotary import RopeScaling

ORIGIN = Path("config.json")
LLAMA = {
    "model_type": "llama",
    "vocab_size": 99,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
INCODER_1B = {  # what matters of the published file
    "model_type": "xglm",
    "activation_function": "gelu",
    "attention_heads": 32,
    "bos_token_id": 0,
    "d_model": 2048,
    "eos_token_id": 2,
    "ffn_dim": 8192,
    "max_position_embeddings": 2048,
    "num_layers": 24,
    "pad_token_id": 1,
    "scale_embedding": True,
    "vocab_size": 50518,
}


def test_the_published_configuration_is_read() -> None:
    config = from_hugging_face(INCODER_1B, ORIGIN)
    assert (config.shape, config.hidden_size, config.num_layers, config.head_dim) == ("xglm", 2048, 24, 64)
    assert config.tie_embeddings
    per_layer = 4 * (2048 + 1) * 2048 + (2048 + 1) * 8192 + (8192 + 1) * 2048 + 2 * 2 * 2048
    assert config.num_parameters == 50518 * 2048 + 24 * per_layer + 2 * 2048


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_theta": 1e6, "rope_scaling": None},
        {"rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}},
        {"rope_theta": 1e6, "rope_scaling": {"rope_type": "default"}},
    ],
)
def test_the_base_of_rotary_positions_is_found_where_each_version_writes_it(rope: dict[str, Any]) -> None:
    assert from_hugging_face({**LLAMA, **rope}, ORIGIN).rope_theta == 1e6


def test_deepseek_coder_s_linear_scaling_is_read() -> None:
    """What matters of the published file of the 6.7B model."""
    published = {**LLAMA, "rope_theta": 100000, "rope_scaling": {"factor": 4.0, "type": "linear"}}
    config = from_hugging_face(published, ORIGIN)
    assert config.rope_theta == 1e5
    assert config.rope_scaling == RopeScaling(4.0)


def test_the_context_of_starcoder2_ends_where_its_window_of_attention_does() -> None:
    published = {  # what matters of the published file of the 3B model, with another width
        **LLAMA,
        "model_type": "starcoder2",
        "hidden_act": "gelu_pytorch_tanh",
        "max_position_embeddings": 16384,
        "norm_epsilon": 1e-5,
        "num_key_value_heads": 2,
        "sliding_window": 4096,
        "use_bias": True,
    }
    config = from_hugging_face(published, ORIGIN)
    assert (config.shape, config.max_positions, config.num_kv_heads) == ("starcoder2", 4096, 2)
    assert config.tie_embeddings
    assert from_hugging_face({**published, "sliding_window": None}, ORIGIN).max_positions == 16384


def test_the_context_of_mistral_s_first_version_ends_where_its_window_of_attention_does() -> None:
    published = {**LLAMA, "model_type": "mistral", "max_position_embeddings": 32768, "sliding_window": 4096}
    config = from_hugging_face(published, ORIGIN)
    assert (config.shape, config.max_positions) == ("llama", 4096)
    assert from_hugging_face({**published, "sliding_window": None}, ORIGIN).max_positions == 32768


@pytest.mark.parametrize("biases", [{"attention_bias": True}, {"mlp_bias": True}])
def test_biases_of_granite_code_survive_being_saved(biases: dict[str, bool]) -> None:
    config = from_hugging_face({**LLAMA, **biases}, ORIGIN)
    written = to_hugging_face(config, torch.float32)
    assert written["model_type"] == "llama"
    assert from_hugging_face(written, ORIGIN) == config


def test_what_old_files_leave_out_has_the_family_s_default() -> None:
    config = from_hugging_face(LLAMA, ORIGIN)
    assert (config.num_kv_heads, config.head_dim, config.rope_theta, config.norm_eps) == (4, 12, 10_000, 1e-6)
    assert not config.tie_embeddings


def test_of_several_end_tokens_the_first_is_taken() -> None:
    assert from_hugging_face({**LLAMA, "eos_token_id": [7, 8]}, ORIGIN).eos_id == 7


@pytest.mark.parametrize(
    "setting",
    [
        {"model_type": "qwen2", "attention_bias": True},
        {"model_type": "mistral", "mlp_bias": True},
        {"use_sliding_window": True},
        {"hidden_act": "gelu"},
        {"rope_scaling": {"type": "dynamic", "factor": 4.0}},
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 5e5}},
        {"model_type": "starcoder2", "use_bias": False},
        {"model_type": "starcoder2", "hidden_act": "gelu"},
    ],
)
def test_a_setting_that_is_not_computed_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(IncoderError, match=r"config\.json: .* only .* (is|are) supported"):
        from_hugging_face({**LLAMA, **setting}, ORIGIN)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {**LLAMA, "quantization_config": {"quant_method": "awq", "bits": 4}},
            "quantized .*'awq'.* unquantized",
        ),
        ({**LLAMA, "quantization_config": {"quant_method": "gptq"}}, "quantized .*'gptq'.*dtype int8"),
        ({**LLAMA, "quantization_config": {}}, "quantized"),
        ({**LLAMA, "quantization_config": "fp8"}, "quantized .*'fp8'"),
        ([1], "must hold one JSON object, got list"),
        ({**LLAMA, "hidden_size": "wide"}, "wrong kind"),
        ({**INCODER_1B, "attention_heads": 0}, "wrong kind"),
        ({**LLAMA, "rope_scaling": {"type": "linear"}}, "has no 'factor'"),
        (
            {**LLAMA, "rope_scaling": {"type": "linear", "factor": 0.5}},
            "factor .* must be at least 1, got 0.5",
        ),
        ({**LLAMA, "vocab_size": -1}, "vocab_size must be a whole number of at least 1, got -1"),
        ({key: value for key, value in LLAMA.items() if key != "hidden_size"}, "has no 'hidden_size'"),
    ],
)
def test_a_broken_configuration_is_a_clear_error(values: object, message: str) -> None:
    with pytest.raises(IncoderError, match=message):
        from_hugging_face(values, ORIGIN)
