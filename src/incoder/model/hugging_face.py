"""The names that Hugging Face's families use: for settings in `config.json`, and for weights.

Pure functions between these names and ours. Knows which weights are one matrix in memory here, and reads no
files.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from incoder.errors import IncoderError, shown
from incoder.model.rotary import RopeScaling
from incoder.model.transformer import TransformerConfig

UNQUANTIZED = (
    "only unquantized weights are read: load the model that these were made from, with the dtype int8 or "
    "int4 to save memory"
)


def to_hugging_face(config: TransformerConfig, dtype: torch.dtype) -> dict[str, Any]:
    """Return the content of a model's `config.json`.

    >>> from incoder.model.sizes import config_for
    >>> to_hugging_face(config_for("mini", "llama", vocab_size=1000), torch.bfloat16)["architectures"]
    ['LlamaForCausalLM']
    """
    common = {
        "vocab_size": config.vocab_size,
        "bos_token_id": config.bos_id,
        "eos_token_id": config.eos_id,
        "pad_token_id": config.pad_id,
        "tie_word_embeddings": config.tie_embeddings,
        "torch_dtype": str(dtype).removeprefix("torch."),
    }
    if config.shape == "xglm":
        return {
            "architectures": ["XGLMForCausalLM"],
            "model_type": "xglm",
            "activation_function": "gelu",
            "attention_heads": config.num_heads,
            "d_model": config.hidden_size,
            "ffn_dim": config.inner_size,
            "max_position_embeddings": config.max_positions,
            "num_layers": config.num_layers,
            "scale_embedding": True,
            **common,
        }
    if config.shape == "starcoder2":
        own = {
            "architectures": ["Starcoder2ForCausalLM"],
            "model_type": "starcoder2",
            "hidden_act": "gelu_pytorch_tanh",
            "norm_epsilon": config.norm_eps,
            "sliding_window": None,
            "use_bias": True,
        }
    else:
        family = "Qwen2" if config.qkv_bias and not config.out_bias else "Llama"
        biases = {"attention_bias": config.out_bias, "mlp_bias": config.mlp_bias}
        own = {
            "architectures": [f"{family}ForCausalLM"],
            "model_type": family.lower(),
            "hidden_act": "silu",
            "head_dim": config.head_dim,
            "rms_norm_eps": config.norm_eps,
            **{name: True for name, is_on in biases.items() if is_on},
        }
    return {
        **own,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.inner_size,
        "max_position_embeddings": config.max_positions,
        "num_attention_heads": config.num_heads,
        "num_hidden_layers": config.num_layers,
        "num_key_value_heads": config.num_kv_heads,
        "rope_theta": config.rope_theta,
        **({"rope_scaling": _scaling_on_disk(config.rope_scaling)} if config.rope_scaling else {}),
        **common,
    }


def from_hugging_face(values: object, origin: Path) -> TransformerConfig:
    """Return the configuration that the content of a `config.json` describes.

    Raises:
        IncoderError: this network does not implement the architecture or a setting, or a number is out of
            range.
    """
    if not isinstance(values, dict):
        raise IncoderError(f"{origin} must hold one JSON object, got {type(values).__name__}")
    kind = values.get("model_type")
    readers = {
        "xglm": _from_xglm,
        "llama": _from_llama,
        "mistral": _from_llama,
        "qwen2": _from_llama,
        "starcoder2": _from_starcoder2,
    }
    if not isinstance(kind, str) or kind not in readers:
        raise IncoderError(f"{origin}: model_type {shown(kind)} is not known; known are {', '.join(readers)}")
    try:
        _refuse_quantized(values)
        return readers[kind](values)
    except IncoderError as error:
        raise IncoderError(f"{origin}: {error}") from error
    except KeyError as error:
        raise IncoderError(f"{origin} has no {error}, which a {kind} model needs") from error
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise IncoderError(f"{origin} holds a value of the wrong kind: {error}") from error


def _from_xglm(values: dict[str, Any]) -> TransformerConfig:
    _refuse_others(values, "activation_function", "gelu")
    _refuse_others(values, "scale_embedding", True)
    return TransformerConfig(
        shape="xglm",
        vocab_size=values["vocab_size"],
        hidden_size=values["d_model"],
        num_layers=values["num_layers"],
        num_heads=values["attention_heads"],
        num_kv_heads=values["attention_heads"],
        head_dim=values["d_model"] // values["attention_heads"],
        inner_size=values["ffn_dim"],
        max_positions=values["max_position_embeddings"],
        tie_embeddings=_flag(values, "tie_word_embeddings", True),
        **_token_ids(values),
    )


def _from_llama(values: dict[str, Any]) -> TransformerConfig:
    _refuse_others(values, "hidden_act", "silu")
    _refuse_others(values, "use_sliding_window", False)
    if values["model_type"] != "llama":
        _refuse_others(values, "attention_bias", False)
        _refuse_others(values, "mlp_bias", False)
    has_attention_biases = _flag(values, "attention_bias", False)  # Qwen2 has none on the output
    max_positions = values["max_position_embeddings"]
    if values["model_type"] == "mistral":
        max_positions = _within_window(max_positions, values)
    return TransformerConfig(
        shape="llama",
        max_positions=max_positions,
        head_dim=values.get("head_dim") or values["hidden_size"] // values["num_attention_heads"],
        norm_eps=float(values.get("rms_norm_eps", 1e-6)),
        qkv_bias=values["model_type"] == "qwen2" or has_attention_biases,
        out_bias=has_attention_biases,
        mlp_bias=_flag(values, "mlp_bias", False),
        tie_embeddings=_flag(values, "tie_word_embeddings", False),
        **_rotary_sizes(values),
    )


def _from_starcoder2(values: dict[str, Any]) -> TransformerConfig:
    _refuse_others(values, "hidden_act", "gelu_pytorch_tanh")
    _refuse_others(values, "use_bias", True)
    return TransformerConfig(
        shape="starcoder2",
        max_positions=_within_window(values["max_position_embeddings"], values),
        head_dim=values["hidden_size"] // values["num_attention_heads"],
        norm_eps=float(values.get("norm_epsilon", 1e-5)),
        tie_embeddings=_flag(values, "tie_word_embeddings", True),
        **_rotary_sizes(values),
    )


def _within_window(max_positions: Any, values: Mapping[str, Any]) -> Any:
    """Return the maximum context length of a model with a sliding window of attention, or without one.

    StarCoder2 attends to the last 4,096 of up to 16,384 tokens, the first version of Mistral to as many of
    32,768. Within a window nothing is left out, so the window is the maximum context length here: results
    are exact, and caches need no windows.
    """
    return min(max_positions, values.get("sliding_window") or max_positions)


def _rotary_sizes(values: dict[str, Any]) -> dict[str, Any]:
    """Read the settings that have one name in all families with rotary positions."""
    # transformers 5 writes `rope_parameters`; earlier versions wrote `rope_theta` beside `rope_scaling`.
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    return {
        "vocab_size": values["vocab_size"],
        "hidden_size": values["hidden_size"],
        "num_layers": values["num_hidden_layers"],
        "num_heads": values["num_attention_heads"],
        "num_kv_heads": values.get("num_key_value_heads") or values["num_attention_heads"],
        "inner_size": values["intermediate_size"],
        "rope_theta": float(rope.get("rope_theta") or values.get("rope_theta", 10_000.0)),
        "rope_scaling": _scaling(rope),
        **_token_ids(values),
    }


def _scaling(rope: Mapping[str, Any]) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type"))
    if kind in (None, "default"):
        return None
    if kind == "linear":
        return RopeScaling(float(rope["factor"]))
    if kind == "llama3":
        return RopeScaling(
            float(rope["factor"]),
            rope["original_max_position_embeddings"],
            float(rope["low_freq_factor"]),
            float(rope["high_freq_factor"]),
        )
    raise IncoderError(f"rope type is {shown(kind)}; only 'default', 'linear' and 'llama3' are supported")


def _scaling_on_disk(scaling: RopeScaling) -> dict[str, Any]:
    if scaling.original_max_positions is None:
        return {"rope_type": "linear", "factor": scaling.factor}
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "original_max_position_embeddings": scaling.original_max_positions,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
    }


def _refuse_others(values: Mapping[str, Any], name: str, supported: object) -> None:
    """Raise if a setting has a value that the network does not implement; absent or null is the default."""
    value = values.get(name)
    if value is not None and value != supported:
        raise IncoderError(f"{name} is {shown(value)}; only {supported!r} is supported")


def _refuse_quantized(values: Mapping[str, Any]) -> None:
    """Raise if another program has quantized the weights (AWQ, GPTQ, bitsandbytes, FP8, …)."""
    quantization = values.get("quantization_config")
    if quantization is None:
        return
    method = quantization.get("quant_method") if isinstance(quantization, dict) else quantization
    raise IncoderError(f"the weights are quantized (quant_method {shown(method)}); {UNQUANTIZED}")


def _flag(values: Mapping[str, Any], name: str, default: bool) -> bool:
    value = values.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise IncoderError(f"{name} must be true or false, got {shown(value)}")
    return value


def _token_ids(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "bos_id": _first(values.get("bos_token_id"), 2),
        "eos_id": _first(values.get("eos_token_id"), 2),
        "pad_id": _first(values.get("pad_token_id"), 1),
    }


def _first(value: Any, default: int) -> Any:
    """Return a token id, of a list the first: some families have several end tokens."""
    if isinstance(value, list):
        return _first(value[0] if value else None, default)
    return default if value is None else value


# The name of each weight in memory, and the names on disk of its parts, in order along the first axis.
_XGLM_BLOCK = {
    "attention_norm": ("self_attn_layer_norm",),
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.out": ("self_attn.out_proj",),
    "feed_forward_norm": ("final_layer_norm",),
    "feed_forward.up": ("fc1",),
    "feed_forward.down": ("fc2",),
}
_LLAMA_BLOCK = {
    "attention_norm": ("input_layernorm",),
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.out": ("self_attn.o_proj",),
    "feed_forward_norm": ("post_attention_layernorm",),
    "feed_forward.gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "feed_forward.down": ("mlp.down_proj",),
}
_STARCODER2_BLOCK = {
    "attention_norm": ("input_layernorm",),
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.out": ("self_attn.o_proj",),
    "feed_forward_norm": ("post_attention_layernorm",),
    "feed_forward.up": ("mlp.c_fc",),
    "feed_forward.down": ("mlp.c_proj",),
}
_BLOCKS = {"xglm": _XGLM_BLOCK, "llama": _LLAMA_BLOCK, "starcoder2": _STARCODER2_BLOCK}


def disk_names(name: str, config: TransformerConfig) -> tuple[str, ...]:
    """Return the names on disk of the parts of a weight in memory.

    >>> from incoder.model.sizes import config_for
    >>> disk_names("blocks.0.feed_forward.gate_up.weight", config_for("mini", "llama", vocab_size=1000))
    ('model.layers.0.mlp.gate_proj.weight', 'model.layers.0.mlp.up_proj.weight')
    """
    module, _, kind = name.rpartition(".")
    if module == "embedding":
        return (f"model.embed_tokens.{kind}",)
    if module == "lm_head":
        return (f"lm_head.{kind}",)
    if module == "final_norm":
        return (f"model.{'layer_norm' if config.shape == 'xglm' else 'norm'}.{kind}",)
    _, layer, inner = module.split(".", 2)
    parts = _BLOCKS[config.shape][inner]
    return tuple(f"model.layers.{layer}.{part}.{kind}" for part in parts)


def split_weights(weights: Mapping[str, Tensor], config: TransformerConfig) -> Iterator[tuple[str, Tensor]]:
    """Yield the names on disk and the weights, as views of the weights in memory."""
    sizes = [config.num_heads * config.head_dim, *2 * [config.num_kv_heads * config.head_dim]]
    for name, tensor in weights.items():
        names = disk_names(name, config)
        parts = torch.split(tensor, sizes) if len(names) == 3 else tensor.chunk(len(names))
        yield from zip(names, parts, strict=True)
