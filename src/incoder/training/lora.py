"""Low-rank adaptation: linear layers with frozen weights and two thin trained matrices for each part.

A fused matrix (q/k/v, gate/up) has a pair for each of its parts, as on disk: peft and others adapt the parts
separately. model/adapters.py reads and writes the files.
"""

import math

import torch
from torch import Tensor, nn

from incoder.errors import IncoderError
from incoder.model.adapters import MAX_RANK, Adapter, Pair, adapted_names, fingerprint
from incoder.model.hugging_face import split_weights
from incoder.model.transformer import Transformer

DEFAULT_RANK = 16
DEFAULT_ALPHA = 32.0


class AdaptedLinear(nn.Module):
    """A frozen linear layer, and a low-rank product of its own for each part of its output.

    `down` is [parts · rank, in], so that all parts read their input in one product; `ups[p]` is
    [out of part p, rank]. An `up` begins as zeros: before the first step the layer is its base.
    """

    def __init__(
        self, base: nn.Linear, part_sizes: list[int], rank: int, scale: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self._rank, self._scale = rank, scale
        device = base.weight.device
        down = torch.empty(len(part_sizes) * rank, base.in_features)
        nn.init.uniform_(down, -1 / math.sqrt(base.in_features), 1 / math.sqrt(base.in_features), generator)
        self.down = nn.Parameter(down.to(device))
        self.ups = nn.ParameterList(torch.zeros(size, rank, device=device) for size in part_sizes)

    def forward(self, hidden: Tensor) -> Tensor:
        thin = torch.split(nn.functional.linear(hidden, self.down), self._rank, dim=-1)
        changes = [nn.functional.linear(part, up) for part, up in zip(thin, self.ups, strict=True)]
        out: Tensor = self.base(hidden)
        return out + self._scale * torch.cat(changes, dim=-1)

    def pairs(self) -> list[Pair]:
        """Return the matrices of each part."""
        return [Pair(down, up) for down, up in zip(torch.split(self.down, self._rank), self.ups, strict=True)]


def add_adapters(
    model: Transformer, *, rank: int = DEFAULT_RANK, alpha: float = DEFAULT_ALPHA, seed: int = 0
) -> str:
    """Freeze the model and adapt every linear layer of its blocks; return the fingerprint of the base.

    Equal seeds make equal adapters.

    Raises:
        IncoderError: the rank is not in [1, 1024], or alpha is not a positive number.

    >>> from incoder.model.sizes import config_for
    >>> network = Transformer(config_for("mini", "llama", vocab_size=1000))
    >>> _ = add_adapters(network, rank=4)
    >>> layer = network.get_submodule("blocks.0.attention.qkv")
    >>> [name for name, weight in layer.named_parameters() if weight.requires_grad]
    ['down', 'ups.0', 'ups.1', 'ups.2']
    """
    if not 1 <= rank <= MAX_RANK:
        raise IncoderError(f"the rank of an adapter must be from 1 to {MAX_RANK}, got {rank}")
    if not 0 < alpha < math.inf:
        raise IncoderError(f"the alpha of an adapter must be a positive number, got {alpha:g}")
    base = fingerprint(model)
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name in adapted_names(model.config):
        layer = model.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        parts = split_weights({f"{name}.weight": layer.weight}, model.config)
        part_sizes = [len(part) for _, part in parts]
        parent, _, attribute = name.rpartition(".")
        adapted = AdaptedLinear(layer, part_sizes, rank, alpha / rank, generator)
        setattr(model.get_submodule(parent), attribute, adapted)
    return base


def adapter_of(
    model: Transformer, *, alpha: float, base_name: str | None, base_fingerprint: str | None
) -> Adapter:
    """Return the adapter of a model with `AdaptedLinear` layers, to save it."""
    pairs: dict[str, Pair] = {}
    rank = 0
    for name, parts in adapted_names(model.config).items():
        layer = model.get_submodule(name)
        if isinstance(layer, AdaptedLinear):
            pairs.update(zip(parts, layer.pairs(), strict=True))
            rank = layer.ups[0].shape[1]
    return Adapter(rank, alpha, pairs, base_name, base_fingerprint)
