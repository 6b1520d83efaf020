"""Models of a published shape with random weights, saved once, for us and for peers to load."""

from pathlib import Path

import torch

from incoder.inference.models.catalogue import find_model
from incoder.model.checkpoint import save_checkpoint
from incoder.model.sizes import config_for
from incoder.model.transformer import Shape, Transformer, TransformerConfig
from incoder.tokenizer.tokenizer import Tokenizer

_PUBLISHED_VOCAB_SIZE = 50_518


def save_random_model(folder: Path, size: str, shape: Shape, dtype: torch.dtype) -> TransformerConfig:
    """A checkpoint in `folder`, with mini's tokenizer."""
    config = random_config(size, shape)
    model = Transformer(config)
    model.init_weights(torch.Generator().manual_seed(0))
    save_checkpoint(model, folder, tokenizer=mini_tokenizer(), dtype=dtype)
    return config


def random_config(size: str, shape: Shape) -> TransformerConfig:
    """A network for mini's tokenizer; beyond mini's size it has the published number of ids.

    The ids that the tokenizer does not have are computed with the others and never written.
    """
    vocab_size = mini_tokenizer().vocab_size if size == "mini" else _PUBLISHED_VOCAB_SIZE
    return config_for(size, shape, vocab_size=vocab_size)


def mini_tokenizer() -> Tokenizer:
    return Tokenizer.from_file(find_model("mini"))
