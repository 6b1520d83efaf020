"""Checkpoints in Hugging Face's format: saved to and loaded from a folder that transformers loads as it is.

The folder has `config.json`, `model.safetensors`, `generation_config.json` and the tokenizer's files;
published weights may also be in several files, or pickled. hugging_face.py knows the names that each family
uses.
"""

import json
import pickle
import zipfile
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from incoder.errors import IncoderError, shown_name
from incoder.files import make_folder, read_json_object, replaced_atomically, write_text
from incoder.model import weight_files
from incoder.model.generation_config import GENERATION_CONFIG, TAIL_LINES
from incoder.model.hugging_face import (
    UNQUANTIZED,
    disk_names,
    from_hugging_face,
    split_weights,
    to_hugging_face,
)
from incoder.model.mapped_memory import MappedMemory
from incoder.model.transformer import Transformer, TransformerConfig, outline

_EMBEDDING = "model.embed_tokens.weight"
_HEAD = "lm_head.weight"
_MAX_CONFIG_BYTES = 10_000_000  # published ones have up to 0.2 MB
_QUANTIZED_SUFFIXES = (".qweight", ".qzeros", ".g_idx", ".weight_scale", ".weight_scale_inv", ".absmax")
_IGNORED_SUFFIXES = ("embed_positions.weights", "rotary_emb.inv_freq")  # computed, not learned


class SavesItself(Protocol):
    """A tokenizer that `save_checkpoint` can write."""

    def save(self, folder: Path) -> None: ...


def save_checkpoint(
    model: Transformer,
    folder: Path,
    *,
    tokenizer: SavesItself | None = None,
    dtype: torch.dtype = torch.bfloat16,
    num_tail_lines: int = 0,
) -> None:
    """Write the model in `dtype`; each file is replaced atomically.

    `num_tail_lines` is the number of lines in the prefix tail that this model was trained with. It goes into
    `generation_config.json`, where only InCoder reads it.

    Raises:
        IncoderError: the folder cannot be written, or the disk is full.
    """
    make_folder(folder)
    config = model.config
    tensors = {
        name: tensor.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)
        for name, tensor in split_weights(model.state_dict(), config)
    }
    path = folder / "model.safetensors"
    with replaced_atomically(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={"format": "pt"})
        except SafetensorError as error:
            raise IncoderError(f"cannot write {path}: {error}; nothing was changed") from error
    generation = {"bos_token_id": config.bos_id, "eos_token_id": config.eos_id, "pad_token_id": config.pad_id}
    if num_tail_lines:
        generation[TAIL_LINES] = num_tail_lines
    write_text(folder / GENERATION_CONFIG, _json(generation))
    write_text(folder / "config.json", _json(to_hugging_face(config, dtype)))
    if tokenizer is not None:
        tokenizer.save(folder)


def load_checkpoint(
    folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> Transformer:
    """Load a model; the weights keep the dtype of the file unless `dtype` is given.

    The files are mapped into memory and the weights converted one at a time, each unmapped before the next,
    so that memory never holds more than the model and its largest layer.

    Raises:
        IncoderError: there is no checkpoint, its architecture is unknown, or its weights do not match it.
    """
    config = load_config(folder)
    stored = _read_weights(folder)
    config = _with_stored_head(config, stored)
    outlines = outline(config)
    # All names and shapes are checked before a byte is allocated: the configuration is not trusted.
    _check_weights(stored, dict(split_weights(outlines, config)), folder)
    with torch.device("meta"):
        model = Transformer(config)
    dtype = dtype or stored[_EMBEDDING].dtype
    weights, mapped = {}, MappedMemory()
    for name in outlines:
        parts = [stored.pop(part) for part in disk_names(name, config)]
        fused = torch.cat(parts) if len(parts) > 1 else parts[0]
        weights[name] = fused.to(device=device, dtype=dtype)
        for part in parts:
            if part.data_ptr() != weights[name].data_ptr():
                mapped.give_back(part)
    model.load_state_dict(weights, assign=True)
    model.position_table = model.position_table.to(device)
    return model.eval()


def load_config(folder: Path) -> TransformerConfig:
    """Load the configuration alone.

    Raises:
        IncoderError: there is no checkpoint, or its architecture is unknown.
    """
    path = folder / "config.json"
    if not path.exists():
        problem = weight_files.with_foreign_kind("it has no config.json", _file_names(folder))
        raise IncoderError(f"{folder} is not a checkpoint: {problem}")
    return from_hugging_face(read_json_object(path, max_bytes=_MAX_CONFIG_BYTES), path)


def _with_stored_head(config: TransformerConfig, stored: MutableMapping[str, Any]) -> TransformerConfig:
    """Decide whether the output matrix is the embedding, as transformers does: the weights decide.

    If the configuration says that they are tied and the file has both, they are tied if they are equal and
    two matrices otherwise. If the file has only one, it serves as both. The weight that is not needed is
    removed from `stored`.
    """
    if not config.tie_embeddings or _HEAD not in stored:
        return config
    if _EMBEDDING not in stored:
        stored[_EMBEDDING] = stored.pop(_HEAD)
        return config
    embedding, head = stored[_EMBEDDING], stored[_HEAD]
    if not (isinstance(embedding, Tensor) and isinstance(head, Tensor) and _is_equal(embedding, head)):
        return replace(config, tie_embeddings=False)
    MappedMemory().give_back(stored.pop(_HEAD))
    return config


def _is_equal(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and torch.equal(first, second)


def _check_weights(stored: Mapping[str, object], outlines: Mapping[str, Tensor], folder: Path) -> None:
    """Raise if the weights are not exactly the network's weights, by their names on disk."""
    quantized = [name for name in stored if name.endswith(_QUANTIZED_SUFFIXES)]
    if quantized:
        raise IncoderError(f"{folder} holds quantized weights ({_some(quantized)}); {UNQUANTIZED}")
    missing = [name for name in outlines if name not in stored]
    if missing:
        raise IncoderError(f"{folder}: the weights lack {_some(missing)}")
    left = [name for name in stored if name not in outlines and not name.endswith(_IGNORED_SUFFIXES)]
    if left:
        raise IncoderError(f"{folder}: the weights hold {_some(left)}, which no part of the network takes")
    for name, expected in outlines.items():
        tensor = stored[name]
        if not isinstance(tensor, Tensor) or tensor.shape != expected.shape:
            found = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise IncoderError(
                f"{folder}: {name} has the shape {found}, the configuration says {tuple(expected.shape)}"
            )
        if not tensor.is_floating_point():
            raise IncoderError(
                f"{folder}: {name} holds {tensor.dtype}, and weights are floating-point numbers"
            )


def _some(names: list[str]) -> str:
    first = ", ".join(map(shown_name, names[:3]))
    return f"{first} and {len(names) - 3} more" if len(names) > 3 else first


def _file_names(folder: Path) -> list[str]:
    try:
        return [file.name for file in folder.iterdir()]
    except OSError as error:
        raise IncoderError(f"{folder} is not a checkpoint: {error.strerror}") from error


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """Map the weights into memory, by their names on disk; a page is read when it is used."""
    files = _file_names(folder)
    chosen = weight_files.choose(files)
    if chosen is None:
        problem = f"{folder} has no weights: none of {', '.join(weight_files.CHOICES)}"
        raise IncoderError(weight_files.with_foreign_kind(problem, files))
    names = weight_files.shards(folder / chosen) if weight_files.is_index(chosen) else [chosen]
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise IncoderError(f"{folder} lacks {_some(missing)}, of the {len(names)} files named in {chosen}")
    strange = [name for name in names if not (folder / name).is_file()]
    if strange:  # reading a FIFO would block
        raise IncoderError(
            f"{folder / strange[0]} is not a regular file, and weights are read from those only"
        )
    weights: dict[str, Tensor] = {}
    for name in names:
        weights.update(_read_file(folder / name))
    return weights


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        mapped = zipfile.is_zipfile(path)  # files from before PyTorch 1.6 are not, and are read whole
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (OSError, EOFError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        reason = str(error) or "the file ends too early"
        raise IncoderError(f"the weights in {path} cannot be read: {reason}") from error
    if not isinstance(weights, dict):
        raise IncoderError(f"{path} must hold weights by name, got {type(weights).__name__}")
    return weights


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
