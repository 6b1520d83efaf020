import pytest

from incoder.training.recipe import OptimizerSection
from incoder.training.schedule import learning_rate_factor

CONFIG = OptimizerSection(warmup_steps=10)


def test_warm_up_rises_linearly_from_the_first_step() -> None:
    assert [learning_rate_factor(step, 100, CONFIG) for step in (0, 4, 9)] == [0.1, 0.5, 1.0]


def test_linear_decay_reaches_half_way_between_warm_up_and_end() -> None:
    assert learning_rate_factor(10, 110, CONFIG) == 1.0
    assert learning_rate_factor(60, 110, CONFIG) == pytest.approx(0.5)
    assert learning_rate_factor(110, 110, CONFIG) == 0.0


def test_decay_ends_at_the_final_fraction() -> None:
    config = OptimizerSection(warmup_steps=0, final_lr_fraction=0.1, decay_power=2.0)
    assert learning_rate_factor(50, 100, config) == pytest.approx(0.1 + 0.9 * 0.25)
    assert learning_rate_factor(100, 100, config) == pytest.approx(0.1)
