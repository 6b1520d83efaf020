"""The learning rate as a function of the step."""

import math

from incoder.training.recipe import OptimizerSection


def learning_rate_factor(step: int, num_steps: int, config: OptimizerSection) -> float:
    """Return the share of the peak rate at a step: linear warm-up, then the decay that `schedule` names.

    `polynomial` (paper, section 4) and `cosine` decay from the end of the warm-up on. `warmup_stable_decay`
    keeps the peak rate until the last `decay_fraction` of all steps (Hu et al., 2024, arXiv 2404.06395), so
    that a run can be made longer from any checkpoint before its decay. The decay ends at
    `final_lr_fraction`. `step` counts from 0, and the first step's rate is not 0. As in fairseq, `num_steps`
    includes the warm-up.

    >>> config = OptimizerSection(warmup_steps=2)
    >>> [learning_rate_factor(step, 6, config) for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    >>> config = OptimizerSection(warmup_steps=1, schedule="warmup_stable_decay", decay_fraction=0.5)
    >>> [learning_rate_factor(step, 8, config) for step in range(8)]
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    decay_steps = num_steps - config.warmup_steps
    if config.schedule == "warmup_stable_decay":
        decay_steps = min(decay_steps, math.ceil(config.decay_fraction * num_steps))
    remaining = min(1.0, (num_steps - step) / max(1, decay_steps))
    if config.schedule == "cosine":
        decayed = (1 - math.cos(math.pi * remaining)) / 2
    else:
        decayed = math.pow(remaining, config.decay_power)
    return config.final_lr_fraction + (1 - config.final_lr_fraction) * decayed
