"""Which models there are, and what their folders say about them, without loading one.

A model is a folder in Hugging Face's layout; those in `incoder/embedded` come with the package and go by
their folder's name. Imports no torch.
"""

import json
import os
import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from incoder.errors import IncoderError

EMBEDDED = Path(__file__).resolve().parents[1] / "embedded"

_CONFIG = "config.json"
_LICENCE = re.compile(r"^license:\s*(\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model; `num_bytes` is the size of its files, `context_length` counts tokens."""

    name: str
    folder: Path
    architecture: str
    num_parameters: int
    num_bytes: int
    vocab_size: int
    context_length: int
    licence: str | None


def embedded_models() -> list[str]:
    """The names of the models that come with the package."""
    return sorted(config.parent.name for config in EMBEDDED.glob(f"*/{_CONFIG}"))


def find_model(name: str | os.PathLike[str]) -> Path:
    """The folder of an embedded model or of a checkpoint.

    Raises:
        IncoderError: there is none; the message says what there is.
    """
    embedded = embedded_models()
    if name in embedded:
        return EMBEDDED / name
    folder = Path(name)
    if (folder / _CONFIG).is_file():
        return folder
    if folder.is_dir():
        raise IncoderError(f"{folder} is not a checkpoint: it has no {_CONFIG}")
    known = (
        f"the embedded ones are: {', '.join(embedded)}"
        if embedded
        else "no model is embedded in this installation"
    )
    message = f"there is no model {str(name)!r}; give a checkpoint folder or an embedded model ({known})"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
        message += ". Fetching from a hub by name is not available yet: download the folder and give its path"
    raise IncoderError(message)


def describe_model(name: str | os.PathLike[str]) -> ModelInfo:
    """What the files of a model say about it; weights are not read.

    Raises:
        IncoderError: there is no such model, or its files are not what they should be.
    """
    folder = find_model(name)
    config = _read_config(folder / _CONFIG)
    try:
        return ModelInfo(
            name=str(name),
            folder=folder,
            architecture=config["model_type"],
            num_parameters=_num_parameters(folder),
            num_bytes=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
            vocab_size=config["vocab_size"],
            context_length=config["max_position_embeddings"],
            licence=_licence(folder / "README.md"),
        )
    except KeyError as error:
        raise IncoderError(f"{folder / _CONFIG} has no {error}") from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise IncoderError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise IncoderError(f"{path} is not valid JSON: {error}") from error
    return config


def _num_parameters(folder: Path) -> int:
    from safetensors import SafetensorError, safe_open

    total = 0
    for file in folder.glob("*.safetensors"):
        try:
            with safe_open(file, framework="numpy") as tensors:
                total += sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise IncoderError(f"cannot read the weights in {file}: {error}") from error
    return total


def _licence(model_card: Path) -> str | None:
    """The licence that the model card's front matter names, in the hub's spelling."""
    try:
        match = _LICENCE.search(model_card.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return match[1] if match else None
