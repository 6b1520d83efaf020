"""A model and its adapter written as one checkpoint, which any program for such models loads."""

import os
import shutil
from pathlib import Path

from incoder.errors import IncoderError
from incoder.files import make_folder
from incoder.inference.memory.mixing import FILE as MEMORY_WEIGHTS
from incoder.inference.models.catalogue import find_model
from incoder.model.adapters import load_adapter, merge
from incoder.model.checkpoint import load_checkpoint, save_checkpoint
from incoder.model.generation_config import load_num_tail_lines

# Besides the weights and the configuration, which save_checkpoint writes.
_COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "masking.toml",
    MEMORY_WEIGHTS,
)


def merge_adapter(
    name: str | os.PathLike[str], adapter: Path, folder: Path, *, revision: str | None = None
) -> None:
    """Write the model `name`, with the adapter added to its weights, into a new folder.

    The weights keep the precision that the model is stored in; each sum is computed in float32. The folder's
    model card stays with the base, because it describes other weights.

    Raises:
        IncoderError: no such model or adapter, they do not belong together, the folder has files already, or
            it cannot be written.
    """
    source = find_model(name, revision)
    if not source.is_dir():
        raise IncoderError(
            f"{source} is a GGUF file, and an adapter is merged into a checkpoint folder; name the folder "
            "that the file was made from"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise IncoderError(f"{folder} exists and is not an empty folder; name a new one with --output")
    model = load_checkpoint(source)
    merge(model, load_adapter(adapter, model.config))
    make_folder(folder)
    for file in _COPIED:
        if (source / file).is_file():
            shutil.copyfile(source / file, folder / file)
    save_checkpoint(model, folder, dtype=model.dtype, num_tail_lines=load_num_tail_lines(source))
