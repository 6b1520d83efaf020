"""The model of a run as a Hugging Face folder, or its adapter in peft's layout."""

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from incoder.files import remove_temporaries, write_bytes
from incoder.model.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, save_adapter
from incoder.model.checkpoint import SavesItself, write_checkpoint
from incoder.model.generation_config import GENERATION_CONFIG
from incoder.model.transformer import Transformer
from incoder.objective.masking import MaskingConfig
from incoder.training.lora import adapter_of
from incoder.training.ranks import Ranks
from incoder.training.recipe import TrainingRecipe
from incoder.training.start_masking import MASKING, save_masking

TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt"),
)
EXPORTED = (  # the folders in that of a run: the last weights, their average, the best ones
    *("model", "model-average", "model-best"),
    *("adapter", "adapter-best"),
)
_WRITTEN = (
    "model.safetensors*",
    "model-*.safetensors",
    "config.json",
    GENERATION_CONFIG,
    "tokenizer*.json",
    "special*.json",
    MASKING,
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
)
_OF_SAFETENSORS = re.compile(r"\.tmp[A-Za-z0-9]{6}")  # its own temporary file, as large as the weights


class TokenizerFiles:
    """The tokenizer of a model of another family, saved as a copy of its files."""

    def __init__(self, folder: Path | None) -> None:
        assert folder is not None, "such a model is not trained from nothing"
        self._folder = folder

    def save(self, folder: Path) -> None:
        """Copy the files into a folder.

        Raises:
            IncoderError: a file cannot be read or written.
        """
        for name in TOKENIZER_FILES:
            path = self._folder / name
            if path.is_file():
                write_bytes(folder / name, path.read_bytes())


def export_model(
    model: Transformer, folder: Path, tokenizer: SavesItself, masking: MaskingConfig, ranks: Ranks
) -> None:
    """Write the weights in bf16, the tokenizer, and how the model was masked in training.

    All ranks gather the weights, one at a time; the first one writes.

    Raises:
        IncoderError: the folder cannot be written, or the disk is full.
    """
    weights = _whole_weights(model, ranks)
    if not ranks.is_first:
        for _ in weights:
            pass
        return
    write_checkpoint(
        weights,
        model.config,
        folder,
        tokenizer=tokenizer,
        dtype=torch.bfloat16,
        num_tail_lines=masking.num_tail_lines,
    )
    save_masking(masking, folder)


def export_adapter(model: Transformer, folder: Path, recipe: TrainingRecipe, base_fingerprint: str) -> None:
    """Write the adapter of a model with `AdaptedLinear` layers in peft's layout.

    Raises:
        IncoderError: the folder cannot be written, or the disk is full.
    """
    section = recipe.adapter
    assert section is not None
    base_name = section.base_name or str(recipe.model.start_from)
    adapter = adapter_of(model, alpha=section.alpha, base_name=base_name, base_fingerprint=base_fingerprint)
    save_adapter(adapter, folder)


def _whole_weights(model: Transformer, ranks: Ranks) -> Iterable[tuple[str, Tensor]]:
    if not ranks.is_sharded:
        return model.state_dict().items()
    from incoder.training.sharding import whole_weights

    return whole_weights(model, torch.bfloat16)


def remove_unfinished_export(folder: Path) -> None:
    """Remove the temporary files of an export that was killed; the finished files are whole and stay."""
    remove_temporaries(folder, _WRITTEN)
    for path in folder.iterdir() if folder.is_dir() else ():
        if _OF_SAFETENSORS.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
