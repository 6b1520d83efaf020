"""A guard against loss spikes: it says which steps to skip, from the losses and gradient norms before them.

The decision depends on nothing but these numbers, which are equal on all ranks and in the state of a run, so
a run that is resumed skips the same steps. Knows no optimizer and no data.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, pstdev

import torch
from torch import Tensor

STATE = "run.spike_guard"  # its name in the state of a run

_HISTORY = 128  # steps that a step is compared with
_LEAST_HISTORY = 32  # steps before which none is skipped
_LEAST_DEVIATION = 0.01  # of the mean: a very even run is no reason to skip
_MOST_SKIPPED = 8  # in a row, after which the losses have a new level and are no spike


class SpikeGuard:
    """Finds steps whose loss or gradient norm is far above that of the last steps.

    `threshold` is in standard deviations; without one, no step is skipped. Later steps are not compared with
    skipped ones. Another window has other losses, so the comparison starts anew with it.
    """

    def __init__(self, threshold: float | None, on_note: Callable[[str], None] = lambda _: None) -> None:
        self._threshold = threshold
        self._on_note = on_note
        self._window = 0
        self._num_skipped = 0  # in a row
        self.has_skipped = False  # the last step
        self._losses: deque[float] = deque(maxlen=_HISTORY)
        self._norms: deque[float] = deque(maxlen=_HISTORY)

    def is_spike(self, step: int, window: int, loss: float, gradient_norm: float) -> bool:
        """Return whether the step should be skipped, and remember it if not."""
        self.has_skipped = self._threshold is not None and self._is_spike(
            self._threshold, step, window, loss, gradient_norm
        )
        return self.has_skipped

    def _is_spike(self, threshold: float, step: int, window: int, loss: float, gradient_norm: float) -> bool:
        if window != self._window:
            self._window = window
            self._start_anew()
        for name, value, earlier in (
            ("loss", loss, self._losses),
            ("gradient norm", gradient_norm, self._norms),
        ):
            limit = _limit(earlier, threshold)
            if not value <= limit:  # also if it is NaN
                self._num_skipped += 1
                self._on_note(
                    f"step {step} is skipped: its {name} is {value:.4g}, and the last {len(earlier)} had "
                    f"{fmean(earlier):.4g} on average"
                )
                if self._num_skipped >= _MOST_SKIPPED:
                    self._on_note(f"{_MOST_SKIPPED} steps in a row were skipped: this is no spike; going on")
                    self._start_anew()
                return True
        self._losses.append(loss)
        self._norms.append(gradient_norm)
        self._num_skipped = 0
        return False

    def state(self) -> dict[str, Tensor]:
        """Everything that the next decision depends on, as one tensor."""
        if self._threshold is None:
            return {}
        values = [self._window, self._num_skipped, *self._losses, *self._norms]
        return {STATE: torch.tensor(values, dtype=torch.float64)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state; one of a run without a guard starts the comparison anew."""
        if self._threshold is None or STATE not in state:
            return
        window, num_skipped, *values = state[STATE].tolist()
        self._window, self._num_skipped = int(window), int(num_skipped)
        half = len(values) // 2
        self._losses.extend(values[:half])
        self._norms.extend(values[half:])

    def _start_anew(self) -> None:
        self._num_skipped = 0
        self._losses.clear()
        self._norms.clear()


def _limit(earlier: Sequence[float], threshold: float) -> float:
    if len(earlier) < _LEAST_HISTORY:
        return float("inf")
    mean = fmean(earlier)
    return mean + threshold * max(pstdev(earlier, mean), _LEAST_DEVIATION * abs(mean))
