"""The optimizers of a run as one object: step, learning rate, state.

AdamW moves all weights that are not frozen. With `name = "muon"`, Muon moves the matrices of the blocks, and
AdamW only the embeddings, norms and biases.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from incoder.model.transformer import Transformer
from incoder.training.gradients import clip_gradients
from incoder.training.muon import Muon
from incoder.training.ranks import Ranks
from incoder.training.recipe import OptimizerSection
from incoder.training.schedule import learning_rate_factor

_PREFIX = "optimizer."
_AVERAGE = "average"  # a weight's running average among its optimizer's values


class Optimizers:
    """The optimizers that a recipe names, stepped together; `precision` is that of Muon's products.

    If the model's weights are divided among `ranks`, so are the optimizers' states.
    """

    def __init__(
        self,
        model: Transformer,
        config: OptimizerSection,
        precision: torch.dtype,
        ranks: Ranks | None = None,
    ) -> None:
        self._config = config
        self._ranks = ranks or Ranks()
        self._optimizers: dict[str, torch.optim.Optimizer] = {}
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        matrices, others = (
            _block_matrices_and_others(model) if config.name == "muon" else ([], self._parameters)
        )
        if matrices:
            self._optimizers["muon"] = _muon(self._ranks)(
                matrices, lr=config.muon_lr, weight_decay=config.weight_decay, precision=precision
            )
        # Gains and biases are not decayed: pulling them to zero helps nothing.
        groups = [
            {"params": [p for p in others if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
        ]
        self._optimizers["adamw"] = torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=True)
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["peak_lr"] = group["lr"]

    def step(
        self, step: int, num_steps: int, *, is_skipped: Callable[[float], bool] = lambda _: False
    ) -> float:
        """Clip the gradients, move the weights, drop the gradients; return the norm before clipping.

        If `is_skipped(norm)`, the weights and the optimizers' states stay as they are.
        """
        norm = clip_gradients(self._parameters, self._config.clip_norm, self._ranks)
        moves = not is_skipped(norm)
        factor = learning_rate_factor(step, num_steps, self._config)
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = factor * group["peak_lr"]
            if moves:
                optimizer.step()
                if self._config.average_decay is not None:
                    # So that the first weights, which are random, do not stay in the average for long.
                    decay = min(self._config.average_decay, (1 + step) / (10 + step))
                    _update_averages(optimizer, decay)
            optimizer.zero_grad(set_to_none=True)
        return norm

    @contextmanager
    @torch.no_grad()
    def averaged(self) -> Iterator[None]:
        """Exchange the model's weights with their averages, if there are any yet, while the block runs."""
        self._exchange_averages()
        try:
            yield
        finally:
            self._exchange_averages()

    @torch.no_grad()
    def _exchange_averages(self) -> None:
        for optimizer in self._optimizers.values():
            for parameter, values in optimizer.state.items():
                if _AVERAGE in values:
                    weight, average = _local(parameter), _local(values[_AVERAGE])
                    kept = weight.clone()
                    weight.copy_(average)
                    average.copy_(kept)

    @property
    def lr(self) -> float:
        """AdamW's learning rate in the last step."""
        return float(self._optimizers["adamw"].param_groups[0]["lr"])

    def state(self) -> dict[str, Tensor]:
        """The optimizers' running means and step counts as `optimizer.PARAMETER.KEY`; empty before step 1."""
        return {
            f"{_PREFIX}{self._names[id(parameter)]}.{key}": value
            for optimizer in self._optimizers.values()
            for parameter, values in optimizer.state.items()
            for key, value in values.items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take the optimizers' part of a flat state. Rates follow from recipe and step and are not in it."""
        by_parameter: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for name, value in state.items():
            if name.startswith(_PREFIX):
                parameter, _, key = name.removeprefix(_PREFIX).rpartition(".")
                by_parameter[parameter][key] = value
        for optimizer in self._optimizers.values():
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            numbered = {
                number: by_parameter[self._names[id(parameter)]]
                for number, parameter in enumerate(parameters)
                if self._names[id(parameter)] in by_parameter
            }
            optimizer.load_state_dict({**optimizer.state_dict(), "state": numbered})


def _muon(ranks: Ranks) -> type[Muon]:
    if not ranks.is_sharded:
        return Muon
    from incoder.training.sharded_muon import ShardedMuon

    return ShardedMuon


@torch.no_grad()
def _update_averages(optimizer: torch.optim.Optimizer, decay: float) -> None:
    """Move the average of each weight towards it; the first one is the weight itself."""
    weights, averages = [], []
    for parameter, values in optimizer.state.items():
        if _AVERAGE in values:
            weights.append(_local(parameter))
            averages.append(_local(values[_AVERAGE]))
        else:
            values[_AVERAGE] = parameter.detach().clone()
    if averages:
        torch._foreach_lerp_(averages, weights, 1 - decay)


def _local(tensor: Tensor) -> Tensor:
    """This rank's rows of a weight that is divided among ranks, or the tensor itself."""
    whole: Any = tensor.detach()
    rows: Tensor = whole.to_local() if hasattr(whole, "to_local") else whole
    return rows


def _block_matrices_and_others(
    model: Transformer,
) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    return matrices, [p for p in model.parameters() if id(p) not in chosen]
