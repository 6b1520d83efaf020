"""The guard against loss spikes: which steps it skips, and that it changes nothing else."""

from pathlib import Path

import pytest
import torch

from incoder.config import load_recipe
from incoder.training import spikes
from incoder.training.loop import train
from incoder.training.metrics import read_metrics
from incoder.training.recipe import TrainingRecipe
from incoder.training.spikes import SpikeGuard


def even(guard: SpikeGuard, num_steps: int = 40, *, loss: float = 3.0, window: int = 64) -> list[bool]:
    """Steps whose loss and norm vary by 2 % around a level."""
    return [
        guard.is_spike(step, window, loss * (1 + 0.02 * (-1) ** step), 0.5 * (1 + 0.02 * (-1) ** step))
        for step in range(num_steps)
    ]


def test_even_steps_are_never_skipped() -> None:
    assert not any(even(SpikeGuard(6.0), 500))


def test_a_high_loss_or_norm_is_skipped_and_said() -> None:
    notes: list[str] = []
    guard = SpikeGuard(6.0, notes.append)
    even(guard)
    assert guard.is_spike(40, 64, 3.5, 0.5)
    assert guard.is_spike(41, 64, 3.0, 0.9)
    assert guard.is_spike(42, 64, 3.0, float("nan"))
    assert guard.is_spike(43, 64, 3.0, float("inf"))
    assert not guard.is_spike(44, 64, 3.3, 0.55)
    assert notes[0] == "step 40 is skipped: its loss is 3.5, and the last 40 had 3 on average"
    assert notes[1] == "step 41 is skipped: its gradient norm is 0.9, and the last 40 had 0.5 on average"
    assert len(notes) == 4


def test_without_a_threshold_nothing_is_skipped_and_there_is_no_state() -> None:
    guard = SpikeGuard(None)
    even(guard)
    assert not guard.is_spike(40, 64, float("nan"), 1e9)
    assert guard.state() == {}


def test_a_low_loss_is_no_spike() -> None:
    guard = SpikeGuard(6.0)
    even(guard)
    assert not guard.is_spike(40, 64, 0.1, 0.01)


def test_the_first_steps_and_those_of_another_window_are_not_compared() -> None:
    guard = SpikeGuard(1.0)
    assert not any(guard.is_spike(step, 64, 2.0**step, 1.0) for step in range(32))
    guard = SpikeGuard(6.0)
    even(guard)
    assert not guard.is_spike(40, 128, 30.0, 5.0)


def test_losses_that_stay_high_are_a_new_level() -> None:
    notes: list[str] = []
    guard = SpikeGuard(6.0, notes.append)
    even(guard)
    assert even(guard, 100, loss=6.0) == [True] * 8 + [False] * 92
    assert notes[8] == "8 steps in a row were skipped: this is no spike; going on"


@pytest.mark.parametrize("num_steps", [0, 1, 40, 200])
def test_a_guard_goes_on_from_its_state_as_if_it_had_never_stopped(num_steps: int) -> None:
    guard, resumed = SpikeGuard(6.0), SpikeGuard(6.0)
    even(guard, num_steps)
    guard.is_spike(num_steps, 64, 9.0, 9.0)
    resumed.load_state(guard.state())
    assert torch.equal(resumed.state()[spikes.STATE], guard.state()[spikes.STATE])
    for loss in (3.1, 3.2, 3.3, 3.4, 3.5, 9.0):
        assert guard.is_spike(0, 64, loss, 0.5) == resumed.is_spike(0, 64, loss, 0.5)


def rows(output: Path) -> list[dict[str, float]]:
    return [
        {name: value for name, value in row.items() if name != "tokens_per_second"}
        for row in read_metrics(output / "metrics.jsonl")
    ]


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory, recipe_file: Path) -> Path:
    output = tmp_path_factory.mktemp("unguarded")
    train(load_recipe(TrainingRecipe, recipe_file), output, device="cpu")
    return output


def test_a_run_in_which_nothing_spikes_is_equal_to_the_bit(
    unguarded: Path, tmp_path: Path, recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spikes, "_LEAST_HISTORY", 2)
    guarded = load_recipe(TrainingRecipe, recipe_file, ["training.spike_threshold=1000"])
    train(guarded, tmp_path, device="cpu")
    assert rows(tmp_path) == rows(unguarded)
    model = "model/model.safetensors"
    assert (tmp_path / model).read_bytes() == (unguarded / model).read_bytes()


def test_a_run_skips_spikes_and_a_resumed_run_the_same_ones(
    unguarded: Path, tmp_path: Path, recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With so low a threshold some ordinary steps are spikes."""
    monkeypatch.setattr(spikes, "_LEAST_HISTORY", 2)
    monkeypatch.setattr(spikes, "_MOST_SKIPPED", 3)
    guarded = load_recipe(TrainingRecipe, recipe_file, ["training.spike_threshold=0.1"])
    notes: list[str] = []
    train(guarded, tmp_path / "whole", device="cpu", on_note=notes.append)
    whole = rows(tmp_path / "whole")
    skipped = [int(row["step"]) for row in whole if "skipped" in row]
    assert 0 < len(skipped) < 10
    assert [int(note.split()[1]) for note in notes if note.startswith("step ")] == skipped
    assert whole[: skipped[0] + 1] != rows(unguarded)[: skipped[0] + 1], "it says that it was skipped"
    assert whole[skipped[0]]["loss"] == rows(unguarded)[skipped[0]]["loss"]
    for steps_done in (5, 10, 12):
        stops = iter([False] * 5 + [True])
        result = train(guarded, tmp_path / "resumed", resume=True, device="cpu", should_stop=stops.__next__)
        assert result.steps_done == steps_done
    assert rows(tmp_path / "resumed") == whole


def test_the_weights_after_a_skipped_step_are_those_before_it(
    tmp_path: Path, recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpikeGuard, "_is_spike", lambda *_: True)
    settings = ["training.spike_threshold=6", "training.steps=2", "evaluation.max_tokens=64"]
    train(load_recipe(TrainingRecipe, recipe_file, settings), tmp_path / "two", device="cpu")
    train(
        load_recipe(TrainingRecipe, recipe_file, settings),
        tmp_path / "none",
        device="cpu",
        should_stop=lambda: True,
    )
    model = "model/model.safetensors"
    assert (tmp_path / "two" / model).read_bytes() == (tmp_path / "none" / model).read_bytes()
