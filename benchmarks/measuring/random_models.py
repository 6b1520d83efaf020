"""Models of a published shape with random weights, saved once, for us and for peers to load."""

from pathlib import Path

import torch

from incoder.inference.catalogue import find_model
from incoder.model.checkpoint import save_checkpoint
from incoder.model.sizes import config_for
from incoder.model.transformer import Shape, Transformer, TransformerConfig
from incoder.tokenizer.tokenizer import Tokenizer


def save_random_model(folder: Path, size: str, shape: Shape, dtype: torch.dtype) -> TransformerConfig:
    """A checkpoint with mini's tokenizer in `folder`."""
    tokenizer = Tokenizer.from_file(find_model("mini"))
    config = config_for(size, shape, vocab_size=tokenizer.vocab_size)
    model = Transformer(config)
    model.init_weights(torch.Generator().manual_seed(0))
    save_checkpoint(model, folder, tokenizer=tokenizer, dtype=dtype)
    return config
