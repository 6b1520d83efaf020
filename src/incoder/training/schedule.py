"""The learning rate as a function of the step."""

import math

from incoder.training.recipe import OptimizerSection


def learning_rate_factor(step: int, num_steps: int, config: OptimizerSection) -> float:
    """Return the share of the peak rate at a step: linear warm-up, then polynomial decay (paper, section 4).

    The decay ends at `final_lr_fraction`. `step` counts from 0, and the first step's rate is not 0. As in
    fairseq, `num_steps` includes the warm-up.

    >>> config = OptimizerSection(warmup_steps=2)
    >>> [learning_rate_factor(step, 6, config) for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    remaining = (num_steps - step) / max(1, num_steps - config.warmup_steps)
    return config.final_lr_fraction + (1 - config.final_lr_fraction) * math.pow(remaining, config.decay_power)
