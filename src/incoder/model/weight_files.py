"""Which files of a checkpoint hold its weights: one, or several with an index, safetensors before pickles.

Names in, names out; reads an index and no weights. Imports no torch, so that a model can be fetched without.
"""

import json
from collections.abc import Collection
from pathlib import Path

from incoder.errors import IncoderError

# The first that is there is read.
CHOICES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def choose(names: Collection[str]) -> str | None:
    """The file with the weights, or the index of several, or None if there is neither."""
    return next((name for name in CHOICES if name in names), None)


def is_index(name: str) -> bool:
    return name.endswith(".index.json")


def shards(index: Path) -> list[str]:
    """The files that an index names.

    Raises:
        IncoderError: it cannot be read, is no index, or names files outside of its folder.
    """
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(weight_map.values()))
    except OSError as error:
        raise IncoderError(f"cannot read {index}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IncoderError(f"{index} is not an index of weights: it has no weight_map") from error
    strange = [name for name in names if not isinstance(name, str) or Path(name).name != name]
    if strange or not names:
        named = repr(strange[0]) if strange else "nothing"
        raise IncoderError(f"{index} is not an index of weights: it names {named}, no file beside it")
    return names
