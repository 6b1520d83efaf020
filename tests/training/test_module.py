"""The training step as a module: equal to what it was, to plain PyTorch, and however it is computed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from incoder.config import load_recipe
from incoder.model.sizes import config_for
from incoder.model.transformer import Transformer
from incoder.objective.packing import PackedRows
from incoder.training.data import DeviceBatch, to_device
from incoder.training.loop import train
from incoder.training.metrics import read_metrics
from incoder.training.module import TrainingModule
from incoder.training.recipe import TrainingRecipe

SIZES = {"hidden_size": 16, "num_layers": 3, "num_heads": 2, "num_kv_heads": 1, "inner_size": 16}

# From runs of commit f734824, before the step was a module; it and the module agreed to the last bit. Six
# digits, because other processors add up in another order.
GOLDEN_LOSSES = {
    (): [6.442299, 6.416583, 6.402436, 6.355415, 6.311994, 6.271043],
    ("optimizer.name=adamw", "model.tie_embeddings=false"): [
        *(6.487185, 6.471568, 6.433980, 6.369371, 6.324815, 6.269361)
    ],
    ("model.shape=xglm", "model.num_kv_heads=2"): [
        6.959382,
        6.815318,
        6.874845,
        6.696474,
        6.554576,
        6.443563,
    ],
}


@pytest.mark.parametrize("settings", GOLDEN_LOSSES, ids=["llama, muon", "untied, adamw", "xglm, muon"])
def test_losses_are_what_they_were(tmp_path: Path, recipe_file: Path, settings: tuple[str, ...]) -> None:
    common = ["training.precision=fp32", "training.steps=6", "evaluation.max_tokens=64"]
    train(load_recipe(TrainingRecipe, recipe_file, [*common, *settings]), tmp_path, device="cpu")
    losses = [row["loss"] for row in read_metrics(tmp_path / "metrics.jsonl")]
    assert losses == pytest.approx(GOLDEN_LOSSES[settings], rel=2e-6)


def fresh_model(*, tie_embeddings: bool = True) -> Transformer:
    model = Transformer(config_for("mini", "llama", vocab_size=50, tie_embeddings=tie_embeddings, **SIZES))
    model.init_weights(torch.Generator().manual_seed(0))
    return model


@pytest.fixture
def batch() -> DeviceBatch:
    """Two rows of 12 positions: two segments and padding, one of the targets of each row ignored."""
    rng = np.random.default_rng(0)
    segment_ids = np.array([[0] * 5 + [1] * 7, [0] * 9 + [-1] * 3])
    targets = np.where(segment_ids < 0, -100, rng.integers(0, 50, (2, 12)))
    targets[:, 3] = -100
    positions = np.array([[*range(5), *range(7)], [*range(9), 0, 0, 0]])
    rows = PackedRows(rng.integers(0, 50, (2, 12)), targets, segment_ids, positions)
    return to_device(rows, torch.device("cpu"), is_compiled=True)


def gradients(module: TrainingModule, batch: DeviceBatch) -> dict[str, torch.Tensor]:
    loss_sum, _ = module(batch)
    torch.autograd.backward(loss_sum)
    return {name: weight.grad for name, weight in module.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_the_loss_is_the_sum_over_all_targets(batch: DeviceBatch, tie_embeddings: bool) -> None:
    model = fresh_model(tie_embeddings=tie_embeddings)
    loss_sum, num_targets = TrainingModule(model)(batch)
    hidden_BTD = model(batch.token_ids_BT, positions_BT=batch.positions_BT, attention_mask=batch.mask)
    logits_NV = model.logits(hidden_BTD).flatten(0, 1)
    expected = F.cross_entropy(logits_NV, batch.targets_BT.flatten(), reduction="sum")
    torch.testing.assert_close(loss_sum, expected)
    assert int(num_targets) == 11 + 8


def test_recomputed_activations_change_no_bit(batch: DeviceBatch) -> None:
    kept = gradients(TrainingModule(fresh_model()), batch)
    recomputed = gradients(TrainingModule(fresh_model(), checkpoint_activations=True), batch)
    assert kept.keys() == recomputed.keys()
    assert all(torch.equal(kept[name], recomputed[name]) for name in kept)


def test_recomputed_activations_are_not_kept(batch: DeviceBatch) -> None:
    num_kept = {}
    for recomputed in (False, True):
        sizes: list[int] = []

        def keep(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            TrainingModule(fresh_model(), checkpoint_activations=recomputed)(batch)
        num_kept[recomputed] = sum(sizes)
    assert num_kept[True] < num_kept[False] / 2


def test_a_modules_state_is_the_models_under_one_prefix() -> None:
    model = fresh_model()
    module = TrainingModule(model, frozen_rows=torch.tensor([3]), checkpoint_activations=True)
    assert list(module.state_dict()) == [f"model.{name}" for name in model.state_dict()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_blocks_are_compiled_once_and_not_in_evaluation(batch: DeviceBatch) -> None:
    plain, compiled = (TrainingModule(fresh_model(), compile_blocks=flag) for flag in (False, True))
    torch._dynamo.utils.counters.clear()
    expected, found = gradients(plain, batch), gradients(compiled, batch)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    with compiled.eager():
        assert torch.equal(compiled(batch)[0], plain(batch)[0])
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
