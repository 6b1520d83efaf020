"""Our xglm-shaped checkpoints in CTranslate2, for bandwidth.py: it has no converter for XGLM of its own.

The spec is its generic decoder: layer norms first, GELU, positions added to scaled embeddings. In fp32 its
logits equal ours to 1e-5 (random weights of mini's size).
"""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import torch
from ctranslate2.specs import common_spec, transformer_spec

from incoder.model.checkpoint import load_checkpoint
from incoder.model.transformer import TransformerConfig


def writer(
    folder: Path, config: TransformerConfig, prompt: list[int], quantization: str = "int8"
) -> Callable[[int], object]:
    """Load the checkpoint in `folder`, quantized; the result writes so many tokens after the prompt."""
    generator = load(folder, config, quantization)

    def write(num_tokens: int) -> None:
        generator.generate_batch(
            [[str(token_id) for token_id in prompt]],
            max_length=num_tokens,
            min_length=num_tokens,
            sampling_topk=1,
            include_prompt_in_result=False,
        )

    return write


def load(folder: Path, config: TransformerConfig, quantization: str) -> Any:
    """CTranslate2's generator of a checkpoint, whose tokens are called by their ids."""
    assert config.shape == "xglm"
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        config.num_layers, config.num_heads, pre_norm=True, activation=common_spec.Activation.GELU
    )
    weights = {name: weight.numpy() for name, weight in _weights(folder).items()}
    decoder = spec.decoder
    decoder.embeddings.weight = weights["embedding.weight"]
    decoder.projection.weight = weights["embedding.weight"]
    decoder.scale_embeddings = True
    decoder.position_encodings.encodings = _positions(config)
    _set_norm(decoder.layer_norm, weights, "final_norm")
    for index, layer in enumerate(decoder.layer):
        block = f"blocks.{index}"
        _set_norm(layer.self_attention.layer_norm, weights, f"{block}.attention_norm")
        _set_linear(layer.self_attention.linear[0], weights, f"{block}.attention.qkv")
        _set_linear(layer.self_attention.linear[1], weights, f"{block}.attention.out")
        _set_norm(layer.ffn.layer_norm, weights, f"{block}.feed_forward_norm")
        _set_linear(layer.ffn.linear_0, weights, f"{block}.feed_forward.up")
        _set_linear(layer.ffn.linear_1, weights, f"{block}.feed_forward.down")
    spec.config.layer_norm_epsilon = config.norm_eps
    spec.register_vocabulary([str(token_id) for token_id in range(config.vocab_size)])
    spec.config.bos_token = spec.config.eos_token = str(config.eos_id)
    spec.config.unk_token = str(config.pad_id)
    spec.validate()
    spec.optimize(quantization=quantization)
    with tempfile.TemporaryDirectory() as output:
        spec.save(output)
        return ctranslate2.Generator(
            output, device="cpu", compute_type=quantization, intra_threads=torch.get_num_threads()
        )


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(folder, dtype=torch.float32).state_dict())


def _positions(config: TransformerConfig) -> np.ndarray[Any, np.dtype[np.float32]]:
    """fairseq's sinusoids [positions, hidden size]: sines, then cosines, the first position being 2."""
    half = config.hidden_size // 2
    frequencies = np.exp(np.arange(half) * -(math.log(10_000) / (half - 1)))
    angles = np.arange(2, config.max_positions + 2)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _set_norm(spec: Any, weights: dict[str, Any], name: str) -> None:
    spec.gamma, spec.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


def _set_linear(spec: Any, weights: dict[str, Any], name: str) -> None:
    spec.weight, spec.bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
