"""Ours and transformers' model, with the same random weights on the same device.

On a CPU the weights are saved once, and both load them as users do. A GPU makes 6.7 billion weights in a
second where saving and loading them would take minutes, so there they go from one to the other in memory.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from measuring.precisions import Precision
from measuring.random_models import mini_tokenizer, random_config, save_random_model
from peers import transformers_models
from torch import Tensor

import incoder
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.infill_model import InfillModel
from incoder.model.hugging_face import split_weights, to_hugging_face
from incoder.model.quantization import quantize
from incoder.model.transformer import Shape, Transformer, TransformerConfig


class Contestants:
    """Makes either model in any precision from weights in `dtype`; on a CPU they are saved in `folder`."""

    def __init__(
        self, folder: Path, size: str, shape: Shape, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._folder, self._device = folder, device
        self._weights: dict[str, Tensor] = {}
        if device.type == "cpu":
            self.config = save_random_model(folder, size, shape, dtype)
        else:
            self.config = random_config(size, shape)
            self._weights = _random_weights(self.config, dtype, device)

    def ours(self, dtype: Precision) -> InfillModel:
        if not self._weights:
            return incoder.load(self._folder, device=self._device, dtype=dtype)
        storage = dtype if isinstance(dtype, torch.dtype) else torch.bfloat16
        model = _with_weights(self.config, self._cast(storage))
        if not isinstance(dtype, torch.dtype):
            quantize(model, torch.bfloat16, num_bits=8 if dtype == "int8" else 4)
        return InfillModel(TransformerModel(model), mini_tokenizer())

    def transformers(self, dtype: torch.dtype) -> Any:
        if not self._weights:
            return transformers_models.load(self._folder, dtype)
        settings = to_hugging_face(self.config, dtype)
        weights = dict(split_weights(self._cast(dtype), self.config))
        return transformers_models.with_weights(settings, weights, dtype, self._device)

    def _cast(self, dtype: torch.dtype) -> dict[str, Tensor]:
        return {name: weight.to(dtype) for name, weight in self._weights.items()}


def _random_weights(config: TransformerConfig, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    with torch.device("meta"):
        outlines = Transformer(config).state_dict()
    empty = {name: torch.empty_like(one, dtype=dtype, device=device) for name, one in outlines.items()}
    model = _with_weights(config, empty)
    model.init_weights(torch.Generator(device).manual_seed(0))
    return model.state_dict()


def _with_weights(config: TransformerConfig, weights: Mapping[str, Tensor]) -> Transformer:
    """The network with these very tensors as its weights."""
    with torch.device("meta"):
        model = Transformer(config)
    model.load_state_dict(weights, assign=True)
    model.position_table = model.position_table.to(next(iter(weights.values())).device)
    return model.eval()
