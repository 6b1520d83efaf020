"""The learning rate as a function of the step."""

import math

from incoder.training.recipe import OptimizerSection


def learning_rate_factor(step: int, num_steps: int, config: OptimizerSection) -> float:
    """Linear warm-up, then polynomial decay to `final_lr_fraction` (paper, section 4).

    As in fairseq, the total counts from step 0, warm-up included. `step` counts from 0; the first step
    already moves.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    remaining = (num_steps - step) / max(1, num_steps - config.warmup_steps)
    return config.final_lr_fraction + (1 - config.final_lr_fraction) * math.pow(remaining, config.decay_power)
