"""Checkpoints in Hugging Face's format: saved to and loaded from a folder that transformers loads as it is.

The folder has `config.json`, `model.safetensors`, `generation_config.json` and the tokenizer's files;
published weights may also be in several files, or pickled. hugging_face.py knows the names that each family
uses.
"""

import json
import pickle
import zipfile
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
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

MAX_FILE_BYTES = 5_000_000_000  # of weights in one file, as transformers' own files once had

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
    weights = model.state_dict().items()
    write_checkpoint(
        weights, model.config, folder, tokenizer=tokenizer, dtype=dtype, num_tail_lines=num_tail_lines
    )


def write_checkpoint(
    weights: Iterable[tuple[str, Tensor]],
    config: TransformerConfig,
    folder: Path,
    *,
    tokenizer: SavesItself | None = None,
    dtype: torch.dtype = torch.bfloat16,
    num_tail_lines: int = 0,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> None:
    """Write weights, by name in the order of `Transformer.state_dict`, as `save_checkpoint` does.

    Weights of more than `max_file_bytes` are written into several files with an index. Memory holds the
    weights of one file at a time. The files take their names together, when all are written.

    Raises:
        IncoderError: the folder cannot be written, or the disk is full; the weights in it stay.
    """
    make_folder(folder)
    files = weight_files.divide(_sizes_on_disk(config, dtype), max_file_bytes)
    with ExitStack() as stack:
        parts = _split_and_converted(weights, config, dtype)
        for name, names in files.items():
            temporary = stack.enter_context(replaced_atomically(folder / name))
            tensors = dict(islice(parts, len(names)))
            assert list(tensors) == names
            save_tensors(tensors, temporary, folder / name)
        assert next(parts, None) is None
    weight_files.write_index(folder, files, total_bytes=config.num_parameters * dtype.itemsize)
    generation = {"bos_token_id": config.bos_id, "eos_token_id": config.eos_id, "pad_token_id": config.pad_id}
    if num_tail_lines:
        generation[TAIL_LINES] = num_tail_lines
    write_text(folder / GENERATION_CONFIG, _json(generation))
    write_text(folder / "config.json", _json(to_hugging_face(config, dtype)))
    if tokenizer is not None:
        tokenizer.save(folder)


def _split_and_converted(
    weights: Iterable[tuple[str, Tensor]], config: TransformerConfig, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    for name, weight in weights:
        for part, tensor in split_weights({name: weight.detach()}, config):
            yield part, tensor.to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)


def _sizes_on_disk(config: TransformerConfig, dtype: torch.dtype) -> dict[str, int]:
    """The bytes of each weight by its name on disk, in the order of `Transformer.state_dict`."""
    with torch.device("meta"):
        outlines = Transformer(replace(config, max_positions=1)).state_dict()
    return {name: part.numel() * dtype.itemsize for name, part in split_weights(outlines, config)}


def save_tensors(
    tensors: dict[str, Tensor], temporary: Path, path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to the file that will replace `path`, in the format that PyTorch programs read.

    Raises:
        IncoderError: it cannot be written, or the disk is full.
    """
    try:
        save_file(tensors, temporary, metadata={"format": "pt", **(metadata or {})})
    except SafetensorError as error:
        raise IncoderError(f"cannot write {path}: {error}; nothing was changed") from error


def load_checkpoint(
    folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> Transformer:
    """Load a model; the weights keep the dtype of the file unless `dtype` is given.

    The files are mapped into memory and the weights converted one at a time, each unmapped before the next,
    so that memory never holds more than the model and its largest layer.

    Raises:
        IncoderError: there is no checkpoint, its architecture is unknown, or its weights do not match it.
    """
    config, weights = stored_weights(folder, dtype=dtype, device=device)
    with torch.device("meta"):
        model = Transformer(config)
    model.load_state_dict(dict(weights), assign=True)
    model.position_table = model.position_table.to(device)
    return model.eval()


def stored_weights(
    folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> tuple[TransformerConfig, Iterator[tuple[str, Tensor]]]:
    """Return the configuration of a checkpoint and its weights, by name in memory, converted one at a time.

    Raises:
        IncoderError: as for `load_checkpoint`; before the first weight.
    """
    config = load_config(folder)
    stored = _read_weights(folder)
    config = _with_stored_head(config, stored)
    outlines = outline(config)
    # All names and shapes are checked before a byte is allocated: the configuration is not trusted.
    _check_weights(stored, dict(split_weights(outlines, config)), folder)
    return config, _converted(stored, list(outlines), config, dtype or stored[_EMBEDDING].dtype, device)


def _converted(
    stored: MutableMapping[str, Tensor],
    names: list[str],
    config: TransformerConfig,
    dtype: torch.dtype,
    device: torch.device | None,
) -> Iterator[tuple[str, Tensor]]:
    """Fuse and convert the weights in turn, and give each one's pages back before the next."""
    mapped = MappedMemory()
    for name in names:
        parts = [stored.pop(part) for part in disk_names(name, config)]
        weight = (torch.cat(parts) if len(parts) > 1 else parts[0]).to(device=device, dtype=dtype)
        for part in parts:
            if part.data_ptr() != weight.data_ptr():
                mapped.give_back(part)
        yield name, weight


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
