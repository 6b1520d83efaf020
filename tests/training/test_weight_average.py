"""The exponential average of the weights: computed, saved, resumed, exported; it changes nothing else."""

from pathlib import Path

import pytest
import torch

from incoder.config import load_recipe
from incoder.model.checkpoint import load_checkpoint
from incoder.model.sizes import config_for
from incoder.model.transformer import Transformer
from incoder.training.loop import train
from incoder.training.metrics import read_metrics
from incoder.training.optimizer import Optimizers
from incoder.training.recipe import OptimizerSection, TrainingRecipe

SIZES = {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "num_kv_heads": 1, "inner_size": 16}


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_the_average_is_that_of_the_weights_after_each_step(name: str) -> None:
    model = Transformer(config_for("mini", "llama", vocab_size=50, **SIZES))
    model.init_weights(torch.Generator().manual_seed(0))
    config = OptimizerSection.model_validate({"name": name, "average_decay": 0.5, "warmup_steps": 0})
    optimizers = Optimizers(model, config, torch.float32)
    generator = torch.Generator().manual_seed(1)
    expected: dict[str, torch.Tensor] = {}
    for step in range(20):
        for weight in model.parameters():
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizers.step(step, 100)
        decay = min(0.5, (1 + step) / (10 + step))
        for key, weight in model.state_dict().items():
            before = expected.get(key, weight)
            expected[key] = decay * before + (1 - decay) * weight
    weights = {key: weight.clone() for key, weight in model.state_dict().items()}
    with optimizers.averaged():
        torch.testing.assert_close(dict(model.state_dict()), expected)
    assert all(torch.equal(weight, weights[key]) for key, weight in model.state_dict().items())


def test_a_run_with_an_average_has_the_same_losses_and_resumes_with_the_same_average(
    tmp_path: Path, recipe_file: Path
) -> None:
    short = ["training.steps=6", "evaluation.max_tokens=64"]
    plain = load_recipe(TrainingRecipe, recipe_file, short)
    averaging = load_recipe(TrainingRecipe, recipe_file, [*short, "optimizer.average_decay=0.9"])
    train(plain, tmp_path / "plain", device="cpu")
    train(averaging, tmp_path / "whole", device="cpu")
    stops = iter([False] * 4 + [True])
    train(averaging, tmp_path / "resumed", device="cpu", should_stop=stops.__next__)
    train(averaging, tmp_path / "resumed", device="cpu", resume=True)

    def losses(name: str) -> list[float]:
        return [row["loss"] for row in read_metrics(tmp_path / name / "metrics.jsonl")]

    def weights(name: str, folder: str) -> bytes:
        return (tmp_path / name / folder / "model.safetensors").read_bytes()

    assert losses("plain") == losses("whole") == losses("resumed")
    assert weights("plain", "model") == weights("whole", "model") == weights("resumed", "model")
    assert weights("whole", "model-average") == weights("resumed", "model-average")
    assert weights("whole", "model-average") != weights("whole", "model")
    assert not (tmp_path / "plain" / "model-average").exists()
    assert load_checkpoint(tmp_path / "whole" / "model-average").config.hidden_size == 32
