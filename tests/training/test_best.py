"""The best weights of a run are kept, and a run whose held-out loss rises stops by itself."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from incoder.config import load_recipe
from incoder.corpus.storage.token_shards import TokenShard
from incoder.errors import IncoderError
from incoder.model.adapters import ADAPTER_WEIGHTS
from incoder.model.checkpoint import load_checkpoint
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.evaluate import held_out_infill_losses
from incoder.training.loop import train
from incoder.training.metrics import read_metrics
from incoder.training.recipe import TrainingRecipe

LOSS = "validation_infill_loss"


@pytest.fixture
def rising(recipe_file: Path) -> TrainingRecipe:
    """A recipe whose learning rate is so high that the held-out loss rises after a few steps."""
    return load_recipe(
        TrainingRecipe,
        recipe_file,
        [
            *("optimizer.name=adamw", "optimizer.lr=0.3", "optimizer.warmup_steps=20", "training.steps=60"),
            *("training.phases=[{window=128}]", "training.checkpoint_every=4", "evaluation.every=2"),
            *("evaluation.keep_best=true", "evaluation.patience=3"),
        ],
    )


def test_a_run_stops_when_its_loss_no_longer_falls_and_keeps_the_best_weights(
    rising: TrainingRecipe, tmp_path: Path, world: Path
) -> None:
    notes: list[str] = []
    result = train(rising, tmp_path / "run", device="cpu", on_note=notes.append)
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    losses = {row["step"] + 1: row[LOSS] for row in rows if LOSS in row}
    best = min(losses, key=lambda step: losses[step])
    assert result.finished
    assert result.steps_done == best + 3 * 2 < 60
    assert f"has not fallen since step {best}" in notes[-1]
    assert result.best_folder == tmp_path / "run" / "model-best"
    measured = {}
    for name in ("model", "model-best"):
        measured[name] = held_out_infill_losses(
            load_checkpoint(tmp_path / "run" / name, dtype=torch.float32),
            TokenShard.open(world / "tokens", "validation"),
            Tokenizer.from_file(world / "tokenizer"),
            rising.masking,
            window=128,
            max_tokens=rising.evaluation.max_tokens,
            precision=torch.float32,
        )["infill"]
    assert measured["model-best"] == pytest.approx(losses[best], rel=0.01)  # weights are stored in bfloat16
    assert measured["model"] > measured["model-best"]


def test_a_resumed_run_stops_at_the_same_step_with_the_same_weights(
    rising: TrainingRecipe, tmp_path: Path
) -> None:
    whole = train(rising, tmp_path / "whole", device="cpu")
    stops = iter([False] * 7 + [True])
    train(rising, tmp_path / "parts", device="cpu", should_stop=lambda: next(stops))
    parts = train(rising, tmp_path / "parts", resume=True, device="cpu")
    assert parts.steps_done == whole.steps_done
    weights = [
        (tmp_path / name / "model-best" / "model.safetensors").read_bytes() for name in ("whole", "parts")
    ]
    assert weights[0] == weights[1]


def test_patience_needs_the_best_weights_to_be_kept(recipe_file: Path) -> None:
    with pytest.raises(IncoderError, match="patience needs keep_best"):
        load_recipe(TrainingRecipe, recipe_file, ["evaluation.patience=2"])


def short(recipe: TrainingRecipe, seed: int) -> TrainingRecipe:
    return recipe.model_copy(
        update={"training": recipe.training.model_copy(update={"steps": 1, "seed": seed})}
    )


def adapter_recipe(recipe_file: Path, base: Path, *settings: str) -> TrainingRecipe:
    folder = json.dumps(str(base))
    overrides = [
        *(f"model={{start_from={folder}}}", "adapter.rank=2", "optimizer.name=adamw", "optimizer.lr=0.01"),
        *("training.steps=6", "training.phases=[{window=128}]", "training.checkpoint_every=2", *settings),
    ]
    return load_recipe(TrainingRecipe, recipe_file, overrides)


def test_an_adapters_checkpoint_has_what_is_trained_and_nothing_frozen(
    tmp_path: Path, recipe: TrainingRecipe, recipe_file: Path
) -> None:
    train(short(recipe, seed=4), tmp_path / "base", device="cpu")
    adapted = adapter_recipe(recipe_file, tmp_path / "base" / "model")
    result = train(adapted, tmp_path / "whole", device="cpu")
    assert result.model_folder == tmp_path / "whole" / "adapter"
    assert not (tmp_path / "whole" / "model").exists()
    state = torch.load(tmp_path / "whole" / "checkpoints" / "step-00000006.pt", weights_only=True)
    trained = [name for name in state if name.startswith("model.")]
    assert trained
    assert all(".ups." in name or name.endswith(".down") for name in trained)

    stops = iter([False] * 3 + [True])
    train(adapted, tmp_path / "parts", device="cpu", should_stop=lambda: next(stops))
    train(adapted, tmp_path / "parts", resume=True, device="cpu")
    whole, parts = (load_file(tmp_path / name / "adapter" / ADAPTER_WEIGHTS) for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)

    train(short(recipe, seed=5), tmp_path / "b2", device="cpu")
    moved = tmp_path / "base" / "model" / "model.safetensors"
    moved.write_bytes((tmp_path / "b2" / "model" / "model.safetensors").read_bytes())
    with pytest.raises(IncoderError, match="has other weights than when this run was started"):
        train(adapted, tmp_path / "parts", resume=True, device="cpu")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["adapter.rank=0"], "greater than or equal to 1"),
        (["optimizer.name=muon"], "an adapter needs optimizer.name"),
        (["optimizer.average_decay=0.9"], "average_decay is not for adapters"),
    ],
)
def test_settings_that_do_not_go_with_an_adapter_are_refused(
    recipe_file: Path, tmp_path: Path, settings: list[str], message: str
) -> None:
    with pytest.raises(IncoderError, match=message):
        adapter_recipe(recipe_file, tmp_path, *settings)


def test_an_adapter_needs_a_base(recipe_file: Path) -> None:
    with pytest.raises(IncoderError, match=r"name it as model\.start_from"):
        load_recipe(TrainingRecipe, recipe_file, ["adapter.rank=2", "optimizer.name=adamw"])
