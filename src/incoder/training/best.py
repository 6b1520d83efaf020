"""The lowest held-out loss of a run, and how many evaluations ago it was measured.

Metrics in; whether these weights are the best so far, and whether the run is over, out. Knows no weights.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

# What infills cost is what a model is kept for; only a run without masked documents lacks it.
_SCORES = ("validation_infill_loss", "validation_loss")
_PREFIX = "best."


class BestScore:
    """Compares the evaluations of a run; its state goes into checkpoints.

    >>> best = BestScore(patience=1)
    >>> [best.is_best({"validation_loss": loss}, step) for step, loss in enumerate([2.0, 1.5, 1.6])]
    [True, True, False]
    >>> best.is_over, best.loss, best.step
    (True, 1.5, 1)
    """

    def __init__(self, patience: int | None) -> None:
        self._patience = patience
        self.loss = math.inf
        self.step = 0
        self._num_worse = 0

    def is_best(self, metrics: Mapping[str, float], step: int) -> bool:
        """Count an evaluation after `step` steps; return whether its loss is the lowest so far."""
        loss = next(metrics[name] for name in _SCORES if name in metrics)
        if loss < self.loss:
            self.loss, self.step, self._num_worse = loss, step, 0
            return True
        self._num_worse += 1
        return False

    @property
    def is_over(self) -> bool:
        """Whether the loss has not fallen for as many evaluations as the run is patient."""
        return self._patience is not None and self._num_worse >= self._patience

    def state(self) -> dict[str, Tensor]:
        """Return the comparison so far as tensors for a checkpoint."""
        return {
            f"{_PREFIX}loss": torch.tensor(self.loss, dtype=torch.float64),
            f"{_PREFIX}step": torch.tensor(self.step),
            f"{_PREFIX}num_worse": torch.tensor(self._num_worse),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint's comparison; checkpoints of earlier versions have none."""
        if f"{_PREFIX}loss" in state:
            self.loss, self.step = float(state[f"{_PREFIX}loss"]), int(state[f"{_PREFIX}step"])
            self._num_worse = int(state[f"{_PREFIX}num_worse"])
