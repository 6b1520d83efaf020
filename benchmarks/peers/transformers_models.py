"""transformers' models and their `generate`, as quiet and as fast as their users can have them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor


def load(folder: Path, dtype: torch.dtype) -> Any:
    _be_quiet()
    auto_model: Any = transformers.AutoModelForCausalLM
    return auto_model.from_pretrained(folder, dtype=dtype).eval()


def with_weights(
    settings: Mapping[str, Any], weights: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device
) -> Any:
    """The model that `load` makes from a folder with this `config.json` and these weights."""
    _be_quiet()
    auto_config: Any = transformers.AutoConfig
    auto_model: Any = transformers.AutoModelForCausalLM
    with torch.device(device):
        model = auto_model.from_config(auto_config.for_model(**settings), dtype=dtype)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected
    assert set(missing) <= {"lm_head.weight"}, missing  # which is the embedding
    return model.eval()


def generate(
    model: Any, token_ids: Tensor, num_tokens: int, mask: Tensor | None = None, **how: Any
) -> Tensor:
    """Just so many tokens after each row of `token_ids` (B × T), with its cache; greedy if not told `how`."""
    token_ids = token_ids.to(model.device)
    output: Tensor = model.generate(
        token_ids,
        attention_mask=torch.ones_like(token_ids) if mask is None else mask.to(model.device),
        use_cache=True,
        min_new_tokens=num_tokens,
        max_new_tokens=num_tokens,
        **{"do_sample": False, **how},
    )
    return output


def _be_quiet() -> None:
    logging: Any = transformers.utils.logging
    logging.disable_progress_bar()
    logging.set_verbosity_error()
