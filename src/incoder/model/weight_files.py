"""The files that hold a checkpoint's weights: one, or several with an index; safetensors rather than pickles.

Names in, names out; reads and writes an index and no weights. Imports no torch, so that fetching a model
needs none.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from incoder.errors import IncoderError, shown, shown_name
from incoder.files import read_json_object, write_text

# In order of preference.
CHOICES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)

_INDEX = ".index.json"
_OUR_INDEX = "model.safetensors.index.json"
_OURS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_MAX_INDEX_BYTES = 20_000_000  # about a hundred times the index of a model with 100 layers
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,250}")  # the name of a file, on any system
_FOREIGN = {
    "adapter_config.json": (
        "a LoRA adapter, which changes a model and is none by itself: load its base model with "
        "--adapter (in Python, adapter=)"
    ),
    "*.gguf": "a model in llama.cpp's format: give the path of its GGUF file on this machine, such as {file}",
    "consolidated.*": (
        "weights under their authors' own names: load the folder in Hugging Face's layout, whose name often "
        "ends in -hf"
    ),
    "tf_model.h5": "weights for TensorFlow: save them from transformers as safetensors",
    "flax_model.msgpack": "weights for Flax: save them from transformers as safetensors",
}


def choose(names: Collection[str]) -> str | None:
    """Return the file with the weights, or the index of several files, or None if there is neither.

    >>> choose(["config.json", "pytorch_model.bin", "model.safetensors"])
    'model.safetensors'
    """
    return next((name for name in CHOICES if name in names), None)


def divide(sizes: Mapping[str, int], max_bytes: int) -> dict[str, list[str]]:
    """Divide weights, given by name with their bytes, into files in order: their names, by that of the file.

    A weight larger than `max_bytes` has a file of its own.

    >>> divide({"a": 2, "b": 2}, max_bytes=4)
    {'model.safetensors': ['a', 'b']}
    >>> divide({"a": 2, "b": 2, "c": 2}, max_bytes=4)
    {'model-00001-of-00002.safetensors': ['a', 'b'], 'model-00002-of-00002.safetensors': ['c']}
    """
    groups: list[list[str]] = [[]]
    num_bytes = 0
    for name, size in sizes.items():
        if groups[-1] and num_bytes + size > max_bytes:
            groups.append([])
            num_bytes = 0
        groups[-1].append(name)
        num_bytes += size
    if len(groups) == 1:
        return {"model.safetensors": groups[0]}
    return {
        f"model-{number:05d}-of-{len(groups):05d}.safetensors": group
        for number, group in enumerate(groups, 1)
    }


def write_index(folder: Path, files: Mapping[str, Sequence[str]], *, total_bytes: int) -> None:
    """Write which weight is in which of several files, and remove the weights of an earlier checkpoint.

    Raises:
        IncoderError: the folder cannot be written.
    """
    if len(files) > 1:
        weight_map = {weight: file for file, weights in files.items() for weight in weights}
        index = {"metadata": {"total_size": total_bytes}, "weight_map": weight_map}
        write_text(folder / _OUR_INDEX, json.dumps(index, indent=2) + "\n")
    try:
        for path in folder.iterdir():
            is_old = _OURS.fullmatch(path.name) and path.name not in files
            if is_old or (path.name == _OUR_INDEX and len(files) == 1):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise IncoderError(f"cannot remove earlier weights from {folder}: {error.strerror}") from error


def is_index(name: str) -> bool:
    """Whether a file is the index of several weight files.

    >>> is_index("model.safetensors.index.json")
    True
    """
    return name.endswith(_INDEX)


def shards(index: Path) -> list[str]:
    """Return the names of the files that an index names, sorted.

    Raises:
        IncoderError: the index cannot be read, is no index, or names anything but weight files beside it.
    """
    weight_map = read_json_object(index, max_bytes=_MAX_INDEX_BYTES).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise IncoderError(f"{index} is not an index of weights: it has no weight_map of names to files")
    suffix = Path(index.name.removesuffix(_INDEX)).suffix
    for file in weight_map.values():
        # Strict: ".." and "a/b" would lead out of the folder, and "" is the folder itself.
        if not isinstance(file, str) or not _FILE.fullmatch(file) or not file.endswith(suffix):
            raise IncoderError(
                f"{index} is not an index of weights: it names {shown(file)}, not a {suffix} file beside it"
            )
    return sorted(set(weight_map.values()))


def with_foreign_kind(problem: str, names: Collection[str]) -> str:
    """Append to a problem the kind of folder that the file names show, if it is another kind, and the remedy.

    >>> with_foreign_kind("it has no config.json", ["README.md", "mini-q4.gguf"])
    "it has no config.json; it holds a model in llama.cpp's format: give the path of its GGUF file on this
    machine, such as mini-q4.gguf"
    """
    if choose(names) is None:
        for pattern, kind in _FOREIGN.items():
            file = min((name for name in names if fnmatchcase(name, pattern)), default=None)
            if file is not None:
                return f"{problem}; it holds {kind.format(file=shown_name(file))}"
    return problem
