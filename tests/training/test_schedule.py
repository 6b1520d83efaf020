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


def test_a_cosine_falls_slowly_at_both_ends_and_is_halfway_in_the_middle() -> None:
    config = OptimizerSection(schedule="cosine", warmup_steps=10, final_lr_fraction=0.1)
    factors = [learning_rate_factor(step, 110, config) for step in range(10, 111)]
    assert factors[0] == 1.0
    assert factors[50] == pytest.approx(0.55)
    assert factors[25] == pytest.approx(0.1 + 0.9 * (1 + 0.5**0.5) / 2)  # cos 45° = √½
    assert factors[100] == pytest.approx(0.1)
    assert factors == sorted(factors, reverse=True)


def test_warm_up_stable_decay_keeps_the_peak_until_its_last_part() -> None:
    config = OptimizerSection(schedule="warmup_stable_decay", warmup_steps=10, decay_fraction=0.2)
    assert [learning_rate_factor(step, 100, config) for step in (4, 10, 79, 80)] == [0.5, 1.0, 1.0, 1.0]
    assert learning_rate_factor(90, 100, config) == pytest.approx(0.5)
    assert learning_rate_factor(100, 100, config) == 0.0


def test_a_longer_run_repeats_the_steps_of_a_shorter_one_before_its_decay() -> None:
    config = OptimizerSection(schedule="warmup_stable_decay", warmup_steps=10)
    shorter, longer = ([learning_rate_factor(step, n, config) for step in range(80)] for n in (100, 1000))
    assert shorter == longer


def test_a_decay_that_is_longer_than_the_run_begins_after_the_warm_up() -> None:
    config = OptimizerSection(schedule="warmup_stable_decay", warmup_steps=50, decay_fraction=1.0)
    polynomial = config.model_copy(update={"schedule": "polynomial"})
    for step in range(101):
        assert learning_rate_factor(step, 100, config) == learning_rate_factor(step, 100, polynomial)
