"""Checkpoints in Hugging Face's layout, in and out: a folder that transformers loads as it is.

`config.json`, `model.safetensors`, `generation_config.json` and the tokenizer's files; other people's weights
may be in several files, or pickled. hugging_face.py knows what each family calls things.
"""

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from incoder.errors import IncoderError
from incoder.files import make_folder, replaced_atomically, write_text
from incoder.model import weight_files
from incoder.model.hugging_face import disk_names, from_hugging_face, split_weights, to_hugging_face
from incoder.model.mapped_memory import MappedMemory
from incoder.model.transformer import Transformer, TransformerConfig

GENERATION_CONFIG = "generation_config.json"

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
    num_lead_lines: int = 0,
) -> None:
    """Write the model in `dtype`; each file replaces its predecessor whole.

    `num_lead_lines`, with which its fills are to begin, is a setting of generation, of ours.

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
    if num_lead_lines:
        generation["num_lead_lines"] = num_lead_lines
    write_text(folder / GENERATION_CONFIG, _json(generation))
    write_text(folder / "config.json", _json(to_hugging_face(config, dtype)))
    if tokenizer is not None:
        tokenizer.save(folder)


def load_checkpoint(
    folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> Transformer:
    """Read a model; the weights keep the dtype they are stored in unless `dtype` is given.

    The files are mapped into memory, and weights are turned into their form one at a time, each let go of on
    disk before the next: at no time is more held than the model and its largest layer.

    Raises:
        IncoderError: no checkpoint there, an architecture that is not known, or weights that do not fit it.
    """
    config = load_config(folder)
    stored = _read_weights(folder)
    with torch.device("meta"):
        model = Transformer(config)
    outlines = model.state_dict()
    _check_weights(stored, dict(split_weights(outlines, config)), folder)
    dtype = dtype or stored["model.embed_tokens.weight"].dtype
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
    """Read the configuration alone.

    Raises:
        IncoderError: no checkpoint there, or an architecture that is not known.
    """
    path = folder / "config.json"
    return from_hugging_face(_read_json(path), path)


def load_num_lead_lines(folder: Path) -> int:
    """With how many lines of the text before a hole the fills of a model are to begin; 0 if it does not say.

    Raises:
        IncoderError: the settings of generation cannot be read.
    """
    path = folder / GENERATION_CONFIG
    num_lines = _read_json(path).get("num_lead_lines", 0) if path.exists() else 0
    if not isinstance(num_lines, int) or num_lines < 0:
        raise IncoderError(f"{path}: num_lead_lines must be a number of lines, got {num_lines!r}")
    return num_lines


def _read_json(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise IncoderError(
            f"{path.parent} is not a checkpoint: cannot read {path.name} ({error.strerror})"
        ) from error
    except ValueError as error:
        raise IncoderError(f"{path} is not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise IncoderError(f"{path} must hold settings by name, got {type(settings).__name__}")
    return settings


def _check_weights(stored: Mapping[str, object], outlines: Mapping[str, Tensor], folder: Path) -> None:
    """Refuse weights that are not exactly those of the network, by their names on disk."""
    missing = [name for name in outlines if name not in stored]
    if missing:
        raise IncoderError(f"{folder}: the weights lack {_some(missing)}")
    # A tied head may be stored as well.
    known = {*outlines, "lm_head.weight"}
    left = [name for name in stored if name not in known and not name.endswith(_IGNORED_SUFFIXES)]
    if left:
        raise IncoderError(f"{folder}: the weights hold {_some(left)}, which no part of the network takes")
    for name, outline in outlines.items():
        tensor = stored[name]
        if not isinstance(tensor, Tensor) or tensor.shape != outline.shape:
            found = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise IncoderError(
                f"{folder}: {name} has the shape {found}, the configuration says {tuple(outline.shape)}"
            )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights by their names on disk, mapped into memory: a page is read when it is used."""
    chosen = weight_files.choose([file.name for file in folder.iterdir()])
    if chosen is None:
        raise IncoderError(f"{folder} has no weights: none of {', '.join(weight_files.CHOICES)}")
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
        mapped = zipfile.is_zipfile(path)  # files of before PyTorch 1.6 are not and are read whole
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (OSError, EOFError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        reason = str(error) or "the file ends too early"
        raise IncoderError(f"the weights in {path} cannot be read: {reason}") from error
    if not isinstance(weights, dict):
        raise IncoderError(f"{path} must hold weights by name, got {type(weights).__name__}")
    return weights


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
