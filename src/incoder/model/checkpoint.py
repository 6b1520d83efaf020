"""Checkpoints in Hugging Face's layout, in and out: a folder that transformers loads as it is.

`config.json`, `model.safetensors`, `generation_config.json` and the tokenizer's files. Knows the names that
each family gives its weights, and which of them are one matrix in memory here.
"""

import json
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from incoder.errors import IncoderError
from incoder.files import make_folder, replaced_atomically, write_text
from incoder.model.transformer import Transformer, TransformerConfig

_IGNORED_SUFFIXES = ("embed_positions.weights", "rotary_emb.inv_freq")  # computed, not learnt


class SavesItself(Protocol):
    """What a tokenizer needs to be for `save_checkpoint`."""

    def save(self, folder: Path) -> None: ...


def save_checkpoint(
    model: Transformer,
    folder: Path,
    *,
    tokenizer: SavesItself | None = None,
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """Write the model in `dtype`; each file replaces its predecessor whole.

    Raises:
        IncoderError: the folder cannot be written.
    """
    make_folder(folder)
    config = model.config
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous().clone()
        for name, tensor in _split(model.state_dict(), config)
    }
    with replaced_atomically(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    generation = {"bos_token_id": config.bos_id, "eos_token_id": config.eos_id, "pad_token_id": config.pad_id}
    write_text(folder / "generation_config.json", _json(generation))
    write_text(folder / "config.json", _json(to_hugging_face(config, dtype)))
    if tokenizer is not None:
        tokenizer.save(folder)


def load_checkpoint(
    folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> Transformer:
    """Read a model; the weights keep the dtype they are stored in unless `dtype` is given.

    Raises:
        IncoderError: no checkpoint there, an architecture that is not known, or weights that do not fit it.
    """
    config = load_config(folder)
    stored = _read_weights(folder)
    with torch.device("meta"):
        model = Transformer(config)
    weights = dict(_fused(stored, config, folder))
    expected = model.state_dict()
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise IncoderError(
                f"{folder}: {name} has the shape {tuple(tensor.shape)}, the configuration says "
                f"{tuple(expected[name].shape)}"
            )
    weights = {name: tensor.to(device=device, dtype=dtype) for name, tensor in weights.items()}
    model.load_state_dict(weights, assign=True)
    model.position_table = model.position_table.to(device)
    return model.eval()


def load_config(folder: Path) -> TransformerConfig:
    """Read the configuration alone.

    Raises:
        IncoderError: no checkpoint there, or an architecture that is not known.
    """
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise IncoderError(
            f"{folder} is not a checkpoint: cannot read config.json ({error.strerror})"
        ) from error
    except ValueError as error:
        raise IncoderError(f"{path} is not JSON: {error}") from error
    return from_hugging_face(values, path)


def to_hugging_face(config: TransformerConfig, dtype: torch.dtype) -> dict[str, Any]:
    """The `config.json` of a model."""
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
    family = "Qwen2" if config.qkv_bias else "Llama"
    return {
        "architectures": [f"{family}ForCausalLM"],
        "model_type": family.lower(),
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "intermediate_size": config.inner_size,
        "max_position_embeddings": config.max_positions,
        "num_attention_heads": config.num_heads,
        "num_hidden_layers": config.num_layers,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        **common,
    }


def from_hugging_face(values: Mapping[str, Any], origin: Path) -> TransformerConfig:
    """The configuration that a `config.json` describes.

    Raises:
        IncoderError: an architecture or a setting that this network does not compute.
    """
    kind = values.get("model_type")
    if kind not in ("xglm", "llama", "qwen2"):
        raise IncoderError(f"{origin}: model_type {kind!r} is not known; known are xglm, llama and qwen2")
    try:
        ids: dict[str, Any] = {
            "bos_id": _first(values.get("bos_token_id"), 2),
            "eos_id": _first(values.get("eos_token_id"), 2),
            "pad_id": _first(values.get("pad_token_id"), 1),
        }
        if kind == "xglm":
            _refuse(origin, "activation_function", values.get("activation_function", "gelu"), "gelu")
            _refuse(origin, "scale_embedding", values.get("scale_embedding", True), True)
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
                tie_embeddings=values.get("tie_word_embeddings", True),
                **ids,
            )
        _refuse(origin, "hidden_act", values.get("hidden_act", "silu"), "silu")
        rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
        _refuse(origin, "rope type", rope.get("rope_type", rope.get("type", "default")), "default")
        num_heads = values["num_attention_heads"]
        return TransformerConfig(
            shape="llama",
            vocab_size=values["vocab_size"],
            hidden_size=values["hidden_size"],
            num_layers=values["num_hidden_layers"],
            num_heads=num_heads,
            num_kv_heads=values.get("num_key_value_heads") or num_heads,
            head_dim=values.get("head_dim") or values["hidden_size"] // num_heads,
            inner_size=values["intermediate_size"],
            max_positions=values["max_position_embeddings"],
            rope_theta=float(rope.get("rope_theta") or values.get("rope_theta", 10_000.0)),
            norm_eps=values.get("rms_norm_eps", 1e-6),
            qkv_bias=kind == "qwen2",
            tie_embeddings=values.get("tie_word_embeddings", False),
            **ids,
        )
    except KeyError as error:
        raise IncoderError(f"{origin} has no {error}, which a {kind} model needs") from error


def _refuse(origin: Path, name: str, value: object, supported: object) -> None:
    if value != supported:
        raise IncoderError(f"{origin}: {name} is {value!r}; only {supported!r} is supported")


def _first(value: Any, default: int) -> int:
    """A token id; families with several end tokens list them."""
    if isinstance(value, list):
        return int(value[0])
    return default if value is None else int(value)


# One line each: the name in memory, and on disk the names of its parts, in their order along the first axis.
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


def _disk_names(name: str, config: TransformerConfig) -> tuple[str, ...]:
    """The names on disk of the parts of a weight in memory."""
    module, _, kind = name.rpartition(".")
    if module == "embedding":
        return (f"model.embed_tokens.{kind}",)
    if module == "lm_head":
        return (f"lm_head.{kind}",)
    if module == "final_norm":
        return (f"model.{'layer_norm' if config.shape == 'xglm' else 'norm'}.{kind}",)
    _, layer, inner = module.split(".", 2)
    parts = (_XGLM_BLOCK if config.shape == "xglm" else _LLAMA_BLOCK)[inner]
    return tuple(f"model.layers.{layer}.{part}.{kind}" for part in parts)


def _split(weights: Mapping[str, Tensor], config: TransformerConfig) -> Iterator[tuple[str, Tensor]]:
    sizes = [config.num_heads * config.head_dim, *2 * [config.num_kv_heads * config.head_dim]]
    for name, tensor in weights.items():
        disk_names = _disk_names(name, config)
        parts = torch.split(tensor, sizes) if len(disk_names) == 3 else tensor.chunk(len(disk_names))
        yield from zip(disk_names, parts, strict=True)


def _fused(
    stored: dict[str, Tensor], config: TransformerConfig, folder: Path
) -> Iterator[tuple[str, Tensor]]:
    """Weights by their names in memory; a part is let go as soon as it is copied."""
    with torch.device("meta"):
        names = list(Transformer(config).state_dict())
    missing = [part for name in names for part in _disk_names(name, config) if part not in stored]
    if missing:
        raise IncoderError(f"{folder}: the weights lack {missing[0]} (and {len(missing) - 1} more)")
    for name in names:
        parts = [stored.pop(part) for part in _disk_names(name, config)]
        yield name, torch.cat(parts) if len(parts) > 1 else parts[0]
    left = [name for name in stored if not name.endswith(_IGNORED_SUFFIXES) and name != "lm_head.weight"]
    if left:
        raise IncoderError(
            f"{folder}: the weights hold {left[0]} (and {len(left) - 1} more), which no part of "
            "the network takes"
        )


def _read_weights(folder: Path) -> dict[str, Tensor]:
    safetensors, pickled = folder / "model.safetensors", folder / "pytorch_model.bin"
    try:
        if safetensors.exists():
            return load_file(safetensors)
        if pickled.exists():
            weights: dict[str, Tensor] = torch.load(pickled, map_location="cpu", weights_only=True, mmap=True)
            return weights
    except (OSError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise IncoderError(f"the weights in {folder} cannot be read: {error}") from error
    raise IncoderError(f"{folder} has no weights: neither model.safetensors nor pytorch_model.bin")


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
