"""Adapters in peft's layout: equal to peft's own computation, whole or refused with the reason."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from incoder.errors import IncoderError
from incoder.model.adapters import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    Adapter,
    Pair,
    fingerprint,
    load_adapter,
    merge,
    save_adapter,
)
from incoder.model.checkpoint import load_checkpoint, save_checkpoint
from incoder.model.hugging_face import split_weights
from incoder.model.transformer import Transformer

RANK = 3
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of peft's


def adapter_for(model: Transformer, *, uses_rslora: bool = False) -> Adapter:
    """An adapter of every matrix in the blocks, large enough to move the logits."""
    generator = torch.Generator().manual_seed(5)
    pairs = {}
    for name, weight in split_weights(model.state_dict(), model.config):
        if ".layers." in name and weight.ndim == 2:
            down = torch.randn(RANK, weight.shape[1], generator=generator) / 4
            up = torch.randn(weight.shape[0], RANK, generator=generator) / 4
            pairs[name.removesuffix(".weight")] = Pair(down, up)
    return Adapter(RANK, 2.0, pairs, "base", fingerprint(model), uses_rslora)


@pytest.fixture
def folder(model: Transformer, tmp_path: Path) -> Path:
    save_adapter(adapter_for(model), tmp_path / "adapter")
    return tmp_path / "adapter"


def edit_settings(folder: Path, **changes: Any) -> None:
    path = folder / ADAPTER_CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_adapter_that_was_saved_loads_unchanged(model: Transformer, folder: Path) -> None:
    saved, loaded = adapter_for(model), load_adapter(folder, model.config)
    assert replace(loaded, pairs={}) == replace(saved, pairs={})
    assert loaded.pairs.keys() == saved.pairs.keys()
    for name, pair in saved.pairs.items():
        assert torch.equal(loaded.pairs[name].down, pair.down)
        assert torch.equal(loaded.pairs[name].up, pair.up)


@pytest.mark.parametrize("uses_rslora", [False, True])
@torch.no_grad()
def test_a_merged_adapter_computes_what_peft_computes(
    model: Transformer, token_ids_BT: torch.Tensor, tmp_path: Path, uses_rslora: bool
) -> None:
    transformers = pytest.importorskip("transformers")
    peft = pytest.importorskip("peft")
    save_checkpoint(model, tmp_path / "base", dtype=torch.float32)
    save_adapter(adapter_for(model, uses_rslora=uses_rslora), tmp_path / "adapter")
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    expected = peft.PeftModel.from_pretrained(peer, tmp_path / "adapter").eval()(token_ids_BT).logits
    loaded = load_checkpoint(tmp_path / "base")
    before = loaded.logits(loaded(token_ids_BT))
    merge(loaded, load_adapter(tmp_path / "adapter", loaded.config))
    logits = loaded.logits(loaded(token_ids_BT))
    assert (logits - before).abs().max() > 1  # the adapter does something
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_adapter_that_peft_saved_loads_here(
    model: Transformer, token_ids_BT: torch.Tensor, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    peft = pytest.importorskip("peft")
    save_checkpoint(model, tmp_path / "base", dtype=torch.float32)
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    settings = peft.LoraConfig(
        r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    )
    wrapped = peft.get_peft_model(peer, settings).eval()
    wrapped.save_pretrained(tmp_path / "adapter")
    loaded = load_checkpoint(tmp_path / "base")
    merge(loaded, load_adapter(tmp_path / "adapter", loaded.config))
    logits = loaded.logits(loaded(token_ids_BT))
    torch.testing.assert_close(logits, wrapped(token_ids_BT).logits, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_merging_does_not_write_into_the_file_of_the_base(model: Transformer, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path / "base", dtype=torch.float32)
    before = (tmp_path / "base" / "model.safetensors").read_bytes()
    loaded = load_checkpoint(tmp_path / "base")
    merge(loaded, adapter_for(model))
    assert (tmp_path / "base" / "model.safetensors").read_bytes() == before


def test_an_adapter_is_refused_by_other_weights_of_the_same_shape(model: Transformer, folder: Path) -> None:
    adapter = load_adapter(folder, model.config)
    name = "blocks.1.attention.out"
    other = Transformer(model.config)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        other.get_parameter(f"{name}.weight")[0, 0] += 1
    with pytest.raises(IncoderError, match=r"trained on other weights \(base\)"):
        merge(other, adapter)


def test_the_fingerprint_is_that_of_the_weights_and_not_of_their_precision(model: Transformer) -> None:
    rounded = Transformer(model.config)
    rounded.load_state_dict(model.state_dict())
    assert fingerprint(rounded.to(torch.bfloat16)) == fingerprint(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'; only 'LORA' is supported"),
        ({"r": 0}, "r must be a whole number from 1 to 1024, got 0"),
        ({"r": True}, "r must be a whole number from 1 to 1024, got True"),
        ({"r": 10**30}, "r must be a whole number"),
        ({"lora_alpha": float("nan")}, "lora_alpha must be a number above 0"),
        ({"lora_alpha": -1}, "lora_alpha must be a number above 0"),
        ({"use_dora": True}, "use_dora is True, which is not supported; merge the adapter"),
        ({"modules_to_save": ["lm_head"]}, r"modules_to_save is \['lm_head'\], which is not supported"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern is"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"r": 4}, "does not fit this model: lora_A of"),
    ],
)
def test_settings_that_are_not_supported_are_refused_by_name(
    model: Transformer, folder: Path, changes: dict[str, Any], message: str
) -> None:
    edit_settings(folder, **changes)
    with pytest.raises(IncoderError, match=message):
        load_adapter(folder, model.config)


def test_an_adapter_of_a_model_with_other_sizes_is_refused(model: Transformer, folder: Path) -> None:
    smaller = replace(model.config, inner_size=64)
    with pytest.raises(IncoderError, match="does not fit this model"):
        load_adapter(folder, smaller)
    with pytest.raises(IncoderError, match=r"it changes base_model\.model\.model\.layers\.1\."):
        load_adapter(folder, replace(model.config, num_layers=1))


def damage_nothing_there(folder: Path) -> None:
    (folder / ADAPTER_WEIGHTS).unlink()


def damage_cut(folder: Path) -> None:
    path = folder / ADAPTER_WEIGHTS
    path.write_bytes(path.read_bytes()[:500])


def damage_half_a_pair(folder: Path) -> None:
    weights = load_file(folder / ADAPTER_WEIGHTS)
    weights.pop(next(iter(weights)))
    save_file(weights, folder / ADAPTER_WEIGHTS)


def damage_nan(folder: Path) -> None:
    weights = load_file(folder / ADAPTER_WEIGHTS)
    next(iter(weights.values()))[0, 0] = torch.nan
    save_file(weights, folder / ADAPTER_WEIGHTS)


def damage_integers(folder: Path) -> None:
    weights = load_file(folder / ADAPTER_WEIGHTS)
    save_file({name: weight.to(torch.int8) for name, weight in weights.items()}, folder / ADAPTER_WEIGHTS)


def damage_empty(folder: Path) -> None:
    save_file({}, folder / ADAPTER_WEIGHTS)


def damage_settings(folder: Path) -> None:
    (folder / ADAPTER_CONFIG).write_text("[1]")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_nothing_there, "is not a whole adapter: it has no adapter_model.safetensors"),
        (damage_cut, "cannot be read"),
        (damage_half_a_pair, "the shape None"),
        (damage_nan, "not finite"),
        (damage_integers, "not floating-point numbers"),
        (damage_empty, "changes no weight"),
        (damage_settings, "must hold a JSON object"),
    ],
)
def test_a_damaged_adapter_is_refused_with_the_reason(
    model: Transformer, folder: Path, damage: Any, message: str
) -> None:
    damage(folder)
    with pytest.raises(IncoderError, match=message):
        load_adapter(folder, model.config)


def test_a_folder_without_an_adapter_is_named(model: Transformer, tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match=r"is not an adapter: it has no adapter_config\.json"):
        load_adapter(tmp_path, model.config)
