"""The catalogue of models, described from their files without loading one.

A model is a folder in Hugging Face's format, or a GGUF file (gguf_model.py). Embedded models are in
`incoder/embedded` and are named by their folder, models on the hub by `owner/model` (hub.py). Imports no
torch.
"""

import errno
import os
import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from incoder.embedded_models import embedded_models, embedded_or_path
from incoder.errors import IncoderError, shown
from incoder.files import kind_of, read_json_object
from incoder.inference.models import hub
from incoder.inference.models.gguf_model import facts, gguf_file_at, tokenizer_and_format
from incoder.model import weight_files
from incoder.model.gguf_file import GGUFFile, is_gguf
from incoder.tokenizer.formats import choose_format, read_tokenizer

_CONFIG = "config.json"
_CHECKPOINT_OF_RUN = "model"  # the checkpoint's folder in the folder of a training run
_MAX_CONFIG_BYTES = 10_000_000
_MAX_NAME = 200  # characters of a name in a message
# The same as in model/hugging_face.py, which imports torch.
_MODEL_TYPES = frozenset({"xglm", "llama", "mistral", "qwen2", "starcoder2"})
_LICENCE = re.compile(r"^license:\s*(\S+)\s*$", re.MULTILINE)


class _BadSettingError(Exception):
    """A setting of `config.json` that is missing or of the wrong kind."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A description of a model; `num_bytes` is the size of its files, `context_length` counts tokens.

    Only models on the hub have a `revision`. `num_parameters` is None for pickled weights, which would have
    to be read to count them.
    """

    name: str
    revision: str | None
    folder: Path
    architecture: str
    num_parameters: int | None
    num_bytes: int
    vocab_size: int
    context_length: int
    infilling_format: str
    licence: str | None


def cached_models() -> list[tuple[str, str, Path]]:
    """Name, revision and folder of the models from the hub that are here, of architectures that load."""
    return [
        (name, revision, folder)
        for name, revision, folder in hub.cached_models()
        if _model_type(folder) in _MODEL_TYPES
    ]


def find_model(name: str | os.PathLike[str], revision: str | None = None, *, fetch: bool = True) -> Path:
    """Return a model's path: a folder (embedded, a checkpoint, a run's, from the hub) or a GGUF file.

    A model on the hub is fetched if it is not in the cache, unless `fetch` is False. Only hub models have
    revisions.

    Raises:
        IncoderError: there is no such model; the message names the choices.

    >>> find_model("mini").name
    'mini'
    """
    if not isinstance(name, str | os.PathLike):
        raise IncoderError(f"a model is given by its name, folder or file, got {name!r}")
    embedded = embedded_models()
    if name in embedded:
        if revision is not None:
            raise IncoderError(f"{name} is embedded, and only models on the hub have revisions")
        return embedded_or_path(Path(name))
    here = gguf_file_at(Path(name)) if is_gguf(Path(name)) else _checkpoint_at(Path(name))
    if here is not None:
        if revision is not None:
            kind = "file" if here.is_file() else "folder"
            raise IncoderError(f"{here} is a {kind}, and only models on the hub have revisions")
        return here
    if hub.is_hub_name(str(name)):
        cached = hub.fetch(str(name), revision) if fetch else hub.cached_folder(str(name), revision)
        if cached is None:
            raise IncoderError(
                f"{name} is neither a folder nor in the cache; filling with it once fetches it"
            )
        return cached
    known = (
        f"the embedded ones are: {', '.join(embedded)}"
        if embedded
        else "no model is embedded in this installation"
    )
    shown = str(name) if len(str(name)) <= _MAX_NAME else f"{str(name)[:_MAX_NAME]}…"
    raise IncoderError(
        f"there is no model {shown!r}; give an embedded model ({known}), a checkpoint folder, "
        "a GGUF file, or the name of a model on the hub (owner/model)"
    )


def describe_model(
    name: str | os.PathLike[str], revision: str | None = None, *, folder: Path | None = None
) -> ModelInfo:
    """Describe a model from its files, without reading its weights or fetching anything.

    If the `folder` is given, the name is not looked up.

    Raises:
        IncoderError: there is no such model, or its files are not valid.

    >>> describe_model("mini").infilling_format
    'causal-masking'
    """
    folder = folder or find_model(name, revision, fetch=False)
    if not folder.is_dir():
        return _describe_gguf(str(name), folder)
    config = _read_config(folder / _CONFIG)
    try:
        return ModelInfo(
            name=str(name),
            revision=revision,
            folder=folder,
            architecture=_architecture(config),
            num_parameters=_num_parameters(folder),
            num_bytes=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
            vocab_size=_count(config, "vocab_size"),
            context_length=_context_length(config),
            infilling_format=choose_format(read_tokenizer(folder)).name,
            licence=_licence(folder / "README.md"),
        )
    except _BadSettingError as error:
        raise IncoderError(f"{folder / _CONFIG} {error}") from error


def context_length_at(folder: Path) -> int | None:
    """Return the context length in a folder's configuration; None if there is none that can be read.

    >>> context_length_at(find_model("mini"))
    2048
    """
    try:
        return _context_length(_read_config(folder / _CONFIG))
    except (IncoderError, _BadSettingError, KeyError):
        return None


def _describe_gguf(name: str, path: Path) -> ModelInfo:
    file = GGUFFile(path)
    architecture, num_parameters, context_length, licence = facts(file)
    tokenizer, layout = tokenizer_and_format(file)
    return ModelInfo(
        name=name,
        revision=None,
        folder=path,
        architecture=architecture,
        num_parameters=num_parameters,
        num_bytes=path.stat().st_size,
        vocab_size=tokenizer.vocab_size,
        context_length=context_length,
        infilling_format=layout.name,
        licence=licence,
    )


def _checkpoint_at(path: Path) -> Path | None:
    """Return the checkpoint at `path` or in the training run there; None if `path` is no folder.

    Raises:
        IncoderError: the folder holds no checkpoint, or something that is not a file, such as a FIFO.
    """
    try:
        if not path.is_dir():
            return None
        folder = path
        if not (path / _CONFIG).is_file() and (path / _CHECKPOINT_OF_RUN / _CONFIG).is_file():
            folder = path / _CHECKPOINT_OF_RUN
        if not (folder / _CONFIG).is_file():
            names = [file.name for file in folder.iterdir()]
            problem = weight_files.with_foreign_kind(f"it has no {_CONFIG}", names)
            raise IncoderError(f"{folder} is not a checkpoint: {problem}")
        for file in folder.iterdir():
            kind = kind_of(file.stat()) if file.exists() else "regular file"
            if kind not in ("regular file", "folder"):
                raise IncoderError(f"{file} is a {kind}; a checkpoint has regular files only")
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # no folder has such a name
            return None
        raise IncoderError(f"cannot read {path}: {error.strerror}") from error
    return folder


def _model_type(folder: Path) -> str | None:
    """Return the architecture, or None if it cannot be read: other programs write to the cache, too."""
    try:
        return _architecture(_read_config(folder / _CONFIG))
    except (IncoderError, _BadSettingError):
        return None


def _read_config(path: Path) -> dict[str, Any]:
    return read_json_object(path, max_bytes=_MAX_CONFIG_BYTES)


def _architecture(config: dict[str, Any]) -> str:
    kind = _setting(config, "model_type")
    if not isinstance(kind, str):
        raise _BadSettingError(f"must name its model_type, got {shown(kind)}")
    return kind


def _context_length(config: dict[str, Any]) -> int:
    """Return the maximum context length; for StarCoder2 and Mistral, at most their attention window."""
    length = _count(config, "max_position_embeddings")
    if config["model_type"] in ("starcoder2", "mistral") and config.get("sliding_window") is not None:
        return min(length, _count(config, "sliding_window"))
    return length


def _setting(config: dict[str, Any], name: str) -> object:
    if name not in config:
        raise _BadSettingError(f"has no {name!r}")
    return config[name]


def _count(config: dict[str, Any], name: str) -> int:
    value = _setting(config, name)
    if type(value) is not int or value < 1:
        raise _BadSettingError(f"must hold a whole number of at least 1 as {name}, got {shown(value)}")
    return value


def _num_parameters(folder: Path) -> int | None:
    from safetensors import SafetensorError, safe_open

    weights = weight_files.choose([file.name for file in folder.iterdir()])
    if weights is None or ".safetensors" not in weights:
        return None
    names = weight_files.shards(folder / weights) if weight_files.is_index(weights) else [weights]
    total = 0
    for file in (folder / name for name in names):
        try:
            with safe_open(file, framework="numpy") as tensors:
                total += sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise IncoderError(f"cannot read the weights in {file}: {error}") from error
    return total


def _licence(model_card: Path) -> str | None:
    """Return the licence that the model card's front matter names, in the hub's spelling."""
    try:
        match = _LICENCE.search(model_card.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return match[1] if match else None
