"""transformers' models and their `generate`, as quiet and as fast as their users can have them."""

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor


def load(folder: Path, dtype: torch.dtype) -> Any:
    logging: Any = transformers.utils.logging
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    auto_model: Any = transformers.AutoModelForCausalLM
    return auto_model.from_pretrained(folder, dtype=dtype).eval()


def generate(
    model: Any, token_ids: Tensor, num_tokens: int, mask: Tensor | None = None, **how: Any
) -> Tensor:
    """Just so many tokens after each row of `token_ids` (B × T), with its cache; greedy if not told `how`."""
    output: Tensor = model.generate(
        token_ids,
        attention_mask=torch.ones_like(token_ids) if mask is None else mask,
        use_cache=True,
        min_new_tokens=num_tokens,
        max_new_tokens=num_tokens,
        **{"do_sample": False, **how},
    )
    return output
