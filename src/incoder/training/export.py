"""The model of a run as a Hugging Face folder, which `incoder` and `transformers` load."""

from pathlib import Path

import torch

from incoder.model.checkpoint import save_checkpoint
from incoder.model.transformer import Transformer
from incoder.objective.masking import MaskingConfig
from incoder.tokenizer.tokenizer import Tokenizer


def export_model(model: Transformer, folder: Path, tokenizer: Tokenizer, masking: MaskingConfig) -> None:
    """Write the weights in bf16, the tokenizer, and how many tail lines infills begin with.

    Raises:
        IncoderError: the folder cannot be written, or the disk is full.
    """
    save_checkpoint(
        model,
        folder,
        tokenizer=tokenizer,
        dtype=torch.bfloat16,
        num_tail_lines=masking.num_tail_lines,
    )
