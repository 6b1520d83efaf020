"""The network in a GGUF file of the llama or qwen2 architecture.

An open file in, a `Transformer` out. Weights are dequantized and converted one at a time, so that memory
never holds more than the result and its largest weight in float32. llama.cpp's settings become Hugging
Face's, so that hugging_face.py checks files and folders alike. Knows no text.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from incoder.errors import IncoderError, shown, shown_name
from incoder.model.gguf_file import ROPE_FACTORS, GGUFFile
from incoder.model.hugging_face import from_hugging_face, split_weights
from incoder.model.mapped_memory import give_back_freed_memory
from incoder.model.quantization import quantize
from incoder.model.rotary import RopeScaling, rotations
from incoder.model.transformer import Transformer, TransformerConfig, outline

_ARCHITECTURES = ("llama", "qwen2")
_CHUNK = 500_000  # elements that a thread dequantizes at once: 2 MB

# The name of each weight in memory, and the names in the file of its parts, in order along the first axis.
_BLOCK = {
    "attention_norm": ("attn_norm",),
    "attention.qkv": ("attn_q", "attn_k", "attn_v"),
    "attention.out": ("attn_output",),
    "feed_forward_norm": ("ffn_norm",),
    "feed_forward.gate_up": ("ffn_gate", "ffn_up"),
    "feed_forward.down": ("ffn_down",),
}
_OUTSIDE = {"embedding": "token_embd", "lm_head": "output", "final_norm": "output_norm"}


def load_gguf(
    file: GGUFFile,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
    num_bits: int | None = None,
) -> Transformer:
    """Load the network with its weights in `dtype`, and with its matrices in `num_bits` if that is given.

    Raises:
        IncoderError: this network does not implement the architecture or a setting, or the tensors are not
            exactly the network's weights.
    """
    config = gguf_config(file)
    outlines = outline(config)
    # All names and shapes agree before a byte is allocated: a file may be anybody's.
    _check_tensors(file, outlines, config)
    with torch.device("meta"):
        model = Transformer(config)

    def read(name: str, as_dtype: torch.dtype) -> Tensor:
        give_back_freed_memory()  # the C library may keep 32 MB of the weight before
        return _read(file, name, outlines[name].shape, config, as_dtype).to(device)

    is_matrix = {name for name, weight in outlines.items() if weight.ndim > 1}
    unquantized = [name for name in outlines if num_bits is None or name not in is_matrix]
    model.load_state_dict({name: read(name, dtype) for name in unquantized}, assign=True, strict=False)
    model.position_table = model.position_table.to(device)
    if num_bits is not None:
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        quantize(model, dtype, num_bits=num_bits, read=lambda weight: read(names[id(weight)], torch.float32))
    return model.eval()


def gguf_config(file: GGUFFile) -> TransformerConfig:
    """Return the configuration that the file's metadata describes.

    Raises:
        IncoderError: this network does not implement the architecture or a setting, or a number is out of
            range.
    """
    settings = file.metadata
    architecture = settings.get("general.architecture")
    if architecture not in _ARCHITECTURES:
        raise IncoderError(
            f"{file.path}: the architecture {shown(architecture)} is not known; known are "
            f"{', '.join(_ARCHITECTURES)}"
        )
    values = {key.removeprefix(f"{architecture}."): value for key, value in settings.items()}
    try:
        described = _as_hugging_face(architecture, values, file)
    except KeyError as error:
        raise IncoderError(
            f"{file.path} has no {architecture}.{error.args[0]}, which the network needs"
        ) from error
    except IncoderError as error:
        raise IncoderError(f"{file.path}: {error}") from error
    except (TypeError, ValueError, ArithmeticError) as error:
        raise IncoderError(f"{file.path} holds a value of the wrong kind: {error}") from error
    return from_hugging_face(described, file.path)


def _as_hugging_face(architecture: str, values: Mapping[str, Any], file: GGUFFile) -> dict[str, Any]:
    """Return the settings as a `config.json` would have them."""
    if values.get("expert_count"):
        raise IncoderError(
            f"it is a mixture of {shown(values['expert_count'])} experts, which is not supported"
        )
    num_heads, hidden_size = values["attention.head_count"], values["embedding_length"]
    head_dim = values.get("attention.key_length") or hidden_size // num_heads
    for name in ("attention.value_length", "rope.dimension_count"):
        if values.get(name, head_dim) != head_dim:
            raise IncoderError(
                f"{architecture}.{name} is {shown(values[name])}; only the size of a head, "
                f"{shown(head_dim)}, is supported"
            )
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise IncoderError(
            "it lacks the tensor token_embd.weight, so it is not a whole model; fetch it again"
        )
    context = values["context_length"]
    return {
        "model_type": architecture,
        "vocab_size": embedding.shape[0],
        "hidden_size": hidden_size,
        "intermediate_size": values["feed_forward_length"],
        "num_hidden_layers": values["block_count"],
        "num_attention_heads": num_heads,
        "num_key_value_heads": values.get("attention.head_count_kv", num_heads),
        "head_dim": head_dim,
        # Within a sliding window of attention nothing is left out, so it is the maximum context length here.
        "max_position_embeddings": min(context, values.get("attention.sliding_window") or context),
        "rms_norm_eps": values["attention.layer_norm_rms_epsilon"],
        "rope_theta": values.get("rope.freq_base", 10_000.0),
        "rope_scaling": _rope_scaling(values, head_dim, file),
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "attention_bias": architecture == "llama" and "blk.0.attn_output.bias" in file.tensors,
        "mlp_bias": "blk.0.ffn_down.bias" in file.tensors,
        **{
            f"{name}_token_id": values.get(f"tokenizer.ggml.{key}_token_id")
            for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
        },
    }


def _rope_scaling(values: Mapping[str, Any], head_dim: int, file: GGUFFile) -> dict[str, Any] | None:
    kind = values.get("rope.scaling.type", "linear" if values.get("rope.scale_linear") else "none")
    if ROPE_FACTORS in file.tensors:
        return _llama_3_scaling(file.rows(ROPE_FACTORS, slice(None)).ravel(), values, head_dim)
    if kind == "none":
        return None
    return {"rope_type": kind, "factor": values.get("rope.scaling.factor") or values.get("rope.scale_linear")}


def _llama_3_scaling(
    factors: NDArray[np.float32], values: Mapping[str, Any], head_dim: int
) -> dict[str, Any]:
    """Derive Llama 3's settings from the factors, the only ones of them that the file has.

    Raises:
        IncoderError: no published settings result in these factors.
    """
    theta = float(values.get("rope.freq_base", 10_000.0))
    scaling = RopeScaling(max(1.0, float(factors.max())), 8192, 1.0, 4.0)
    plain, scaled = (rotations(2, head_dim, theta, one) for one in (None, scaling))
    # At position 1 the angles are the frequencies; all are at most 1, so the arcsine of their sines is exact.
    expected = torch.asin(plain[1, 1]) / torch.asin(scaled[1, 1])
    if len(factors) != head_dim // 2 or not torch.allclose(expected, torch.from_numpy(factors), rtol=1e-3):
        raise IncoderError(
            f"{ROPE_FACTORS} stretches positions in a way other than Llama 3's; that is not supported"
        )
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "original_max_position_embeddings": scaling.original_max_positions,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
    }


def _names(name: str) -> tuple[str, ...]:
    """Return the names in the file of the parts of a weight in memory."""
    module, _, kind = name.rpartition(".")
    if module in _OUTSIDE:
        return (f"{_OUTSIDE[module]}.{kind}",)
    _, layer, inner = module.split(".", 2)
    return tuple(f"blk.{layer}.{part}.{kind}" for part in _BLOCK[inner])


def _parts(name: str, weight: Tensor, config: TransformerConfig) -> Iterator[tuple[str, Tensor]]:
    """Yield the names in the file of the parts of a weight in memory, and the parts as views of it."""
    views = (view for _, view in split_weights({name: weight}, config))
    return zip(_names(name), views, strict=True)


def _check_tensors(file: GGUFFile, outlines: Mapping[str, Tensor], config: TransformerConfig) -> None:
    """Raise if the tensors are not exactly the network's weights."""
    expected = {
        part: tuple(view.shape)
        for name, weight in outlines.items()
        for part, view in _parts(name, weight, config)
    }
    for name, shape in expected.items():
        if name not in file.tensors:
            raise IncoderError(f"{file.path} lacks the tensor {name}; fetch it again")
        if file.tensors[name].shape != shape:
            raise IncoderError(
                f"{file.path}: {name} has the shape {file.tensors[name].shape}, the metadata says {shape}"
            )
    left = next((name for name in file.tensors if name not in expected and name != ROPE_FACTORS), None)
    if left is not None:
        raise IncoderError(
            f"{file.path} holds the tensor {shown_name(left)}, which no part of the network takes"
        )


def _read(
    file: GGUFFile, name: str, shape: torch.Size, config: TransformerConfig, dtype: torch.dtype
) -> Tensor:
    """Return one weight; as many threads as PyTorch uses dequantize its parts into their places."""
    weight = torch.empty(shape, dtype=dtype)
    jobs: list[Callable[[], None]] = []
    for part, view in _parts(name, weight, config):
        jobs += _jobs(file, part, view, config)
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for done in [threads.submit(job) for job in jobs]:
            done.result()
    for part, _ in _parts(name, weight, config):
        file.give_back(part)
    return weight


def _jobs(file: GGUFFile, name: str, view: Tensor, config: TransformerConfig) -> Iterator[Callable[[], None]]:
    """Yield functions that copy a tensor into a view of a weight, a chunk of rows each."""
    order = _order(name, len(view), file, config)
    if view.ndim == 1:
        vector = file.rows(name, slice(None))[0]
        view[:] = torch.from_numpy(vector if order is None else vector[order])
        return
    num_rows = max(1, _CHUNK // view.shape[1])

    def copy(rows: slice) -> None:
        view[rows] = torch.from_numpy(file.rows(name, rows if order is None else order[rows]))

    for start in range(0, len(view), num_rows):
        yield partial(copy, slice(start, start + num_rows))


def _order(name: str, num_rows: int, file: GGUFFile, config: TransformerConfig) -> NDArray[np.int64] | None:
    """Return the index in the file of each row of a weight, or None if the order is the same.

    For llama, llama.cpp rotates the pair (2i, 2i + 1) of a head where this network rotates (i, i + head_dim /
    2), so in its files the rows of queries and keys are in another order. For qwen2 the pairs are the same.
    """
    is_rotated = ".attn_q." in name or ".attn_k." in name
    if file.metadata["general.architecture"] != "llama" or not is_rotated:
        return None
    pairs = np.arange(num_rows, dtype=np.int64).reshape(-1, config.head_dim // 2, 2)
    return pairs.swapaxes(1, 2).reshape(-1)
