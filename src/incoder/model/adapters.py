"""LoRA adapters in peft's file layout: read, written, and merged into a model's weights.

An adapter adds `scale · up @ down` to some matrices of one base model: `down` is [rank, in], `up` is
[out, rank] (Hu et al., arXiv 2106.09685). The folder has `adapter_config.json` and
`adapter_model.safetensors`, with the names that peft, vLLM and llama.cpp read.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from incoder.errors import IncoderError, shown, shown_name
from incoder.files import make_folder, read_json_object, replaced_atomically, write_text
from incoder.model.checkpoint import save_tensors
from incoder.model.hugging_face import disk_names, split_weights
from incoder.model.transformer import Transformer, TransformerConfig, outline

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

MAX_RANK = 1024
_MAX_CONFIG_BYTES = 1_000_000
_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_BASE = "incoder_base"  # in the metadata of the weights: the fingerprint of the base model
_UNSUPPORTED = {
    # setting of adapter_config.json: its only supported values
    "bias": (None, "none"),
    "use_dora": (None, False),
    "modules_to_save": (None, []),
    "rank_pattern": (None, {}),
    "alpha_pattern": (None, {}),
    "fan_in_fan_out": (None, False),
    "layer_replication": (None, []),
    "trainable_token_indices": (None, []),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """The two thin matrices of one weight: `down` [rank, in] and `up` [out, rank]."""

    down: Tensor
    up: Tensor


@dataclass(frozen=True, slots=True)
class Adapter:
    """The pairs of the adapted weights, by the weights' names on disk without `.weight`.

    `base_name` is the name that the base model was loaded by, `base_fingerprint` that of its weights
    (`fingerprint`), None in an adapter that another program wrote.
    """

    rank: int
    alpha: float
    pairs: Mapping[str, Pair]
    base_name: str | None = None
    base_fingerprint: str | None = None
    uses_rslora: bool = False

    @property
    def scale(self) -> float:
        """The factor of every product: alpha / rank, or alpha / √rank as rank-stabilised LoRA has it."""
        return self.alpha / (math.sqrt(self.rank) if self.uses_rslora else self.rank)


def adapted_names(config: TransformerConfig) -> dict[str, tuple[str, ...]]:
    """Return the matrices that an adapter may change: names in memory, and of their parts on disk.

    These are the linear layers of the blocks, names without `.weight`.

    >>> from incoder.model.sizes import config_for
    >>> names = adapted_names(config_for("mini", "llama", vocab_size=1000))
    >>> names["blocks.0.attention.out"]
    ('model.layers.0.self_attn.o_proj',)
    """
    return {
        name.removesuffix(".weight"): tuple(part.removesuffix(".weight") for part in disk_names(name, config))
        for name, weight in outline(config).items()
        if name.startswith("blocks.") and name.endswith(".weight") and weight.ndim == 2
    }


def fingerprint(model: Transformer) -> str:
    """Return a digest of a model's sizes and weights: of its norms, and of the first row of each matrix.

    Any training changes it. Weights count in bfloat16, so that it does not depend on the precision (float32
    or bfloat16) that the model was loaded in; models of other precisions have other digests.

    >>> from incoder.model.sizes import config_for
    >>> network = Transformer(config_for("mini", "llama", vocab_size=1000))
    >>> len(fingerprint(network))
    64
    """
    digest = hashlib.sha256()
    for name, weight in sorted(split_weights(model.state_dict(), model.config)):
        row = weight.detach()[:1] if weight.ndim == 2 else weight.detach()
        digest.update(f"{name} {tuple(weight.shape)}\n".encode())
        digest.update(row.to("cpu", torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes())
    return digest.hexdigest()


def save_adapter(adapter: Adapter, folder: Path) -> None:
    """Write an adapter in float32; each file is replaced atomically.

    Raises:
        IncoderError: the folder cannot be written, or the disk is full.
    """
    make_folder(folder)
    tensors = {}
    for name, pair in adapter.pairs.items():
        for suffix, tensor in ((_DOWN, pair.down), (_UP, pair.up)):
            on_cpu = tensor.detach().to("cpu", torch.float32, copy=True)
            tensors[f"{_PREFIX}{name}{suffix}"] = on_cpu.contiguous()
    metadata = {} if adapter.base_fingerprint is None else {_BASE: adapter.base_fingerprint}
    path = folder / ADAPTER_WEIGHTS
    with replaced_atomically(path) as temporary:
        save_tensors(tensors, temporary, path, metadata)
    write_text(folder / ADAPTER_CONFIG, json.dumps(_config_of(adapter), indent=2) + "\n")


def load_adapter(folder: Path, config: TransformerConfig) -> Adapter:
    """Read an adapter for a model with this configuration, on the CPU in the precision of its file.

    Raises:
        IncoderError: the folder has no adapter, a setting is not supported, or a matrix does not fit the
            model.
    """
    refuse_without_adapter(folder)
    path = folder / ADAPTER_CONFIG
    settings = read_json_object(path, max_bytes=_MAX_CONFIG_BYTES)
    _refuse_unsupported(settings, path)
    rank, alpha = _rank(settings, path), _alpha(settings, path)
    stored, metadata = _read_weights(folder / ADAPTER_WEIGHTS)
    pairs = _pairs(stored, rank, config, folder)
    base = settings.get("base_model_name_or_path")
    return Adapter(
        rank=rank,
        alpha=alpha,
        pairs=pairs,
        base_name=base if isinstance(base, str) else None,
        base_fingerprint=metadata.get(_BASE),
        uses_rslora=settings.get("use_rslora") is True,
    )


def refuse_without_adapter(folder: Path) -> None:
    """Raise if a folder is not an adapter's, without reading its weights.

    Raises:
        IncoderError: it has no configuration of an adapter.
    """
    if not folder.is_dir():
        raise IncoderError(f"{folder} is not an adapter: there is no such folder")
    if not (folder / ADAPTER_CONFIG).is_file():
        raise IncoderError(f"{folder} is not an adapter: it has no {ADAPTER_CONFIG}")


@torch.no_grad()
def merge(model: Transformer, adapter: Adapter) -> None:
    """Add the adapter's products to the model's matrices, one at a time, computed in float32.

    The matrices are replaced, not written to: a file that they are mapped from does not change.

    Raises:
        IncoderError: the adapter was trained on other weights.
    """
    if adapter.base_fingerprint is not None and adapter.base_fingerprint != fingerprint(model):
        base = f" ({shown_name(adapter.base_name)})" if adapter.base_name else ""
        raise IncoderError(
            f"the adapter was trained on other weights{base} than these; load it with the model that it was "
            "trained on"
        )
    modules = dict(model.named_modules())
    for name, parts in adapted_names(model.config).items():
        if not any(part in adapter.pairs for part in parts):
            continue
        module = modules[name]
        weight = module.weight
        assert isinstance(weight, Tensor)
        sums = []
        outlines = dict(split_weights({f"{name}.weight": weight}, model.config))
        for part in parts:
            matrix, pair = outlines[f"{part}.weight"].float(), adapter.pairs.get(part)
            if pair is not None:
                up, down = pair.up.to(matrix), pair.down.to(matrix)
                matrix = torch.addmm(matrix, up, down, alpha=adapter.scale)
            sums.append(matrix)
        merged = torch.cat(sums) if len(sums) > 1 else sums[0]
        module.weight = torch.nn.Parameter(merged.to(weight.dtype), requires_grad=weight.requires_grad)


def _config_of(adapter: Adapter) -> dict[str, Any]:
    """Return the content of `adapter_config.json`."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base_name,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "target_modules": sorted({name.rpartition(".")[2] for name in adapter.pairs}),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "modules_to_save": None,
        "use_rslora": adapter.uses_rslora,
        "use_dora": False,
        "inference_mode": True,
    }


def _refuse_unsupported(settings: Mapping[str, Any], path: Path) -> None:
    kind = settings.get("peft_type")
    if kind != "LORA":
        raise IncoderError(f"{path}: peft_type is {shown(kind)}; only 'LORA' is supported")
    for name, supported in _UNSUPPORTED.items():
        if settings.get(name) not in supported:
            raise IncoderError(
                f"{path}: {name} is {shown(settings[name])}, which is not supported; merge the adapter into "
                "its base model with peft's merge_and_unload, and load the merged folder"
            )


def _rank(settings: Mapping[str, Any], path: Path) -> int:
    rank = settings.get("r")
    if type(rank) is not int or not 1 <= rank <= MAX_RANK:
        raise IncoderError(f"{path}: r must be a whole number from 1 to {MAX_RANK}, got {shown(rank)}")
    return rank


def _alpha(settings: Mapping[str, Any], path: Path) -> float:
    alpha = settings.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < 1e6:
        raise IncoderError(f"{path}: lora_alpha must be a number above 0 and below 1e6, got {shown(alpha)}")
    return float(alpha)


def _read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise IncoderError(f"{path.parent} is not a whole adapter: it has no {ADAPTER_WEIGHTS}")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise IncoderError(f"the weights in {path} cannot be read: {error}") from error


def _pairs(
    stored: Mapping[str, Tensor], rank: int, config: TransformerConfig, folder: Path
) -> dict[str, Pair]:
    """Sort the matrices into pairs, each checked against the shape of the weight that it changes."""
    left, pairs = dict(stored), {}
    for name, shape in matrix_shapes(config):
        down, up = left.pop(f"{_PREFIX}{name}{_DOWN}", None), left.pop(f"{_PREFIX}{name}{_UP}", None)
        if down is None and up is None:
            continue
        num_out, num_in = shape
        for half, tensor, expected in (("lora_A", down, (rank, num_in)), ("lora_B", up, (num_out, rank))):
            found = None if tensor is None else tuple(tensor.shape)
            if found != expected:
                raise IncoderError(
                    f"{folder} does not fit this model: {half} of {name} has the shape {found}, and "
                    f"{expected} is needed; it was made for another base model"
                )
        assert down is not None
        assert up is not None
        if not (down.is_floating_point() and up.is_floating_point()):
            raise IncoderError(f"{folder}: the matrices of {name} are not floating-point numbers")
        if not (down.isfinite().all() and up.isfinite().all()):
            raise IncoderError(f"{folder}: the matrices of {name} hold values that are not finite")
        pairs[name] = Pair(down, up)
    if left:
        raise IncoderError(
            f"{folder} does not fit this model: it changes {shown_name(next(iter(left)))}, and only linear "
            "layers of the model's blocks can be changed"
        )
    if not pairs:
        raise IncoderError(f"{folder} changes no weight of the model: {ADAPTER_WEIGHTS} is empty")
    return pairs


def matrix_shapes(config: TransformerConfig) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the adaptable matrices by their names on disk, with their shapes [out, in].

    >>> from incoder.model.sizes import config_for
    >>> dict(matrix_shapes(config_for("mini", "llama", vocab_size=1000)))["model.layers.0.self_attn.o_proj"]
    (256, 256)
    """
    outlines = outline(config)
    for name in adapted_names(config):
        for part, matrix in split_weights({f"{name}.weight": outlines[f"{name}.weight"]}, config):
            yield part.removesuffix(".weight"), (matrix.shape[0], matrix.shape[1])
