"""Estimates of runs: against a table of speeds derived by hand, and the cases that a user asks about."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from incoder.config import load_recipe
from incoder.errors import IncoderError
from incoder.model.sizes import config_for
from incoder.model.transformer import TransformerConfig
from incoder.training.estimate import (
    Cluster,
    Estimate,
    estimate,
    fits,
    network_config,
    refuse_what_cannot_fit,
)
from incoder.training.gpus import GPUS, gpu_named
from incoder.training.memory import Network
from incoder.training.recipe import TrainingRecipe

PAPER = Path(__file__).resolve().parents[2] / "recipes" / "paper"
H100 = GPUS["H100"]
GIB = 2**30


def recipe(*settings: str) -> TrainingRecipe:
    common = ["tokens=a", "tokenizer=b", "training.phases=[{window = 2048}]"]
    return load_recipe(TrainingRecipe, None, [*common, *settings])


def llama(size: str) -> TransformerConfig:
    return config_for(size, "llama", vocab_size=50518)


def on_h100s(size: str, num_gpus: int, *settings: str, **cluster: Any) -> Estimate:
    chosen = replace(Cluster(H100, num_gpus, num_gpus), **cluster)
    return estimate(recipe("training.steps=10", *settings), llama(size), chosen)


@pytest.mark.parametrize(("size", "expected"), [("1.3b", 8.5e9), ("6.7b", 4.17e10)])
def test_operations_of_a_token(size: str, expected: float) -> None:
    assert Network(llama(size)).flops_per_token(2048) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("size", "at_35", "at_40"), [("1.3b", 40_700, 46_500), ("6.7b", 8_300, 9_500)])
def test_a_compiled_step_reaches_between_35_and_40_percent_of_the_peak(
    size: str, at_35: int, at_40: int
) -> None:
    settings = ("training.tokens_per_step=131072", "training.compile=true")
    estimated = on_h100s(size, 8, *settings)
    assert at_35 < estimated.tokens_per_second / 8 < at_40
    assert estimated.total_tokens == 10 * 131072
    assert estimated.days * 86_400 * estimated.tokens_per_second == pytest.approx(1_310_720)


@pytest.mark.parametrize(
    ("gbit", "hidden_from"),
    [(8 * 400, 1_600), (400, 10_800), (100, 44_000)],  # tokens that a GPU must have in a micro-batch
)
def test_traffic_is_hidden_from_a_number_of_tokens_on_that_the_network_decides(
    gbit: int, hidden_from: int
) -> None:
    hidden = {}
    for tokens in (hidden_from * 0.7, hidden_from * 1.3):
        window = max(16, round(tokens / 64) // 16 * 16)
        one = recipe(
            f"training.phases=[{{window = {window}}}]",
            f"model.max_positions={window}",
            f"training.tokens_per_step={64 * 64 * window}",
            "training.compile=true",
        )
        cluster = Cluster(H100, 64, 64, network_gbit_per_second=gbit)
        hidden[tokens] = estimate(one, llama("6.7b"), cluster).traffic.is_hidden
    assert list(hidden.values()) == [False, True]


def test_on_a_slow_network_the_advice_is_to_shard_within_machines() -> None:
    settings = ("training.tokens_per_step=4194304", "training.rows_per_micro_batch=4")
    slow = on_h100s("6.7b", 64, *settings, network_gbit_per_second=100.0)
    assert not slow.traffic.is_hidden
    assert any(line.startswith("parallel.shard_size = 8 ") for line in slow.advice)
    hybrid = on_h100s("6.7b", 64, *settings, network_gbit_per_second=100.0, shard_size=8)
    assert hybrid.tokens_per_second > 2 * slow.tokens_per_second
    fast = on_h100s("6.7b", 64, *settings)
    assert fast.traffic.is_hidden
    assert not fast.advice


def test_gradients_between_replicas_are_8_bytes_a_weight_and_machine_once_a_step() -> None:
    traffic = on_h100s("6.7b", 16, "training.tokens_per_step=262144", shard_size=8).traffic
    weights = llama("6.7b").num_parameters
    assert traffic.bytes_between_machines_per_step == pytest.approx(8 * weights / 2)
    assert traffic.bytes_per_micro_batch == pytest.approx(8 * weights * 7 / 8)


def test_a_run_that_does_not_fit_is_given_the_settings_with_which_it_does() -> None:
    settings = ("training.tokens_per_step=131072",)
    estimated = on_h100s("6.7b", 8, *settings)
    assert not estimated.fits
    (advice,) = estimated.advice
    overrides = advice.removeprefix("it fits with --set ").split(" --set ")
    assert on_h100s("6.7b", 8, *settings, *overrides).fits


def test_the_smallest_cluster_fits_and_half_of_it_does_not() -> None:
    estimated = on_h100s("6.7b", 8, "training.tokens_per_step=131072")
    assert estimated.smallest is not None
    num_gpus, overrides = estimated.smallest
    assert num_gpus == 2  # 99.6 GiB of weights, gradients and optimizer
    assert on_h100s("6.7b", 2, "training.tokens_per_step=131072", *overrides).fits
    least = ("training.rows_per_micro_batch=1", "training.activation_checkpointing=true")
    assert not on_h100s("6.7b", 1, "training.tokens_per_step=131072", *least).fits


def test_gpus_without_rows_and_rows_that_do_not_divide_are_named() -> None:
    assert "4 of 8 GPUs compute nothing" in on_h100s("350m", 8, "training.tokens_per_step=8192").advice[0]
    assert "9 rows of a step do not divide" in on_h100s("350m", 8, "training.tokens_per_step=18432").advice[0]


def test_a_gpu_without_bf16_computes_in_float32() -> None:
    v100 = Cluster(gpu_named("v100"), 8, 8)
    one = recipe("training.tokens_per_step=131072", "training.rows_per_micro_batch=1")
    estimated = estimate(one, llama("1.3b"), v100)
    assert "a V100 has no bf16, so it computes in float32" in estimated.advice
    assert estimated.tokens_per_second / 8 < 15.7e12 / 8.5e9


def test_phases_with_short_windows_are_faster() -> None:
    tokens = ("training.tokens_per_step=131072", "training.steps=10")
    long, short = (on_h100s("1.3b", 8, *tokens, f"training.phases=[{{window = {n}}}]") for n in (2048, 256))
    mixed = on_h100s(
        "1.3b", 8, *tokens, "training.phases=[{window = 256, until = 0.5}, {window = 2048, until = 1.0}]"
    )
    mean = (1 / short.tokens_per_second + 1 / long.tokens_per_second) / 2
    assert mixed.tokens_per_second == pytest.approx(1 / mean)


@pytest.mark.parametrize(
    ("num_shards", "memory", "expected"), [(1, 80, False), (8, 80, True), (8, 16, False), (64, 40, True)]
)
def test_whether_a_run_fits(num_shards: int, memory: int, expected: bool) -> None:
    one = recipe("training.tokens_per_step=1048576", "training.rows_per_micro_batch=2")
    assert fits(one, llama("6.7b"), num_shards=num_shards, memory_bytes=memory * GIB) is expected


def test_a_model_that_cannot_fit_is_refused_with_the_number_of_gpus_that_it_needs() -> None:
    one = recipe("training.tokens_per_step=131072")
    with pytest.raises(IncoderError, match=r"6\.68 billion weights take 99\.6 GiB .* at least 2 GPUs"):
        refuse_what_cannot_fit(one, llama("6.7b"), num_shards=1, memory_bytes=80 * GIB)


def test_activations_that_may_not_fit_are_a_warning() -> None:
    notes: list[str] = []
    one = recipe("training.tokens_per_step=262144")
    refuse_what_cannot_fit(one, llama("1.3b"), num_shards=1, memory_bytes=80 * GIB, on_note=notes.append)
    assert len(notes) == 1
    assert notes[0].startswith("warning: by estimate this run does not fit into the 80.0 GiB")
    refuse_what_cannot_fit(recipe(), llama("350m"), num_shards=1, memory_bytes=80 * GIB, on_note=notes.append)
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("num_gpus", "shard_size", "gbit", "message"),
    [
        (0, 1, None, "number of GPUs must be in"),
        (8, 3, None, "must divide the number of GPUs"),
        (8, 8, 0.0, "must be positive"),
        (8, 8, float("nan"), "must be positive"),
    ],
)
def test_impossible_clusters_are_refused(
    num_gpus: int, shard_size: int, gbit: float | None, message: str
) -> None:
    with pytest.raises(IncoderError, match=message):
        Cluster(H100, num_gpus, shard_size, gbit)


@pytest.mark.parametrize(("name", "layers"), [("1.3b", 24), ("6.7b", 32)])
def test_the_paper_s_recipes_are_its_run(name: str, layers: int) -> None:
    paper = load_recipe(TrainingRecipe, PAPER / f"{name}.toml")
    training, optimizer = paper.training, paper.optimizer
    assert training.tokens_per_step == 248 * 8 * 2048
    assert training.steps * training.tokens_per_step == pytest.approx(52e9, rel=1e-4)
    assert optimizer.betas == (0.9, 0.98)
    assert (optimizer.clip_norm, optimizer.warmup_steps, optimizer.schedule) == (1.0, 1500, "polynomial")
    assert paper.masking.rule == "paper"
    config = network_config(paper, 50518)
    assert (config.shape, config.num_layers, config.inner_size) == ("xglm", layers, 4 * config.hidden_size)
    estimated = estimate(paper, config, Cluster(GPUS["A100"], 248, 248))
    assert estimated.fits
    assert estimated.num_parameters == config.num_parameters
