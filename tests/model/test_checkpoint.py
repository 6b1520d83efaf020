import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from incoder.errors import IncoderError
from incoder.model.checkpoint import load_checkpoint, save_checkpoint
from incoder.model.transformer import Transformer


@pytest.fixture
def folder(tmp_path: Path, model: Transformer) -> Path:
    save_checkpoint(model, tmp_path, dtype=torch.float32)
    return tmp_path


def change_config(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def test_a_model_comes_back_as_it_was(folder: Path, model: Transformer) -> None:
    loaded = load_checkpoint(folder)
    assert loaded.config == model.config
    for (name, before), after in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(before, after), name


def test_weights_keep_their_stored_precision_unless_another_is_asked_for(
    tmp_path: Path, model: Transformer
) -> None:
    save_checkpoint(model, tmp_path, dtype=torch.bfloat16)
    assert load_checkpoint(tmp_path).output_weight.dtype == torch.bfloat16
    assert load_checkpoint(tmp_path, dtype=torch.float32).output_weight.dtype == torch.float32


def test_a_tied_head_is_stored_once_and_may_be_stored_twice(
    folder: Path, model: Transformer, token_ids_BT: torch.Tensor
) -> None:
    weights = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in weights
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, folder / "model.safetensors")
    assert torch.equal(load_checkpoint(folder)(token_ids_BT), model(token_ids_BT))


def test_a_stored_table_of_positions_is_ignored(
    folder: Path, model: Transformer, token_ids_BT: torch.Tensor
) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_positions.weights"] = torch.zeros(66, 48)
    save_file(weights, folder / "model.safetensors")
    assert torch.equal(load_checkpoint(folder)(token_ids_BT), model(token_ids_BT))


def test_pickled_weights_load_too(folder: Path, model: Transformer, token_ids_BT: torch.Tensor) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert torch.equal(load_checkpoint(folder)(token_ids_BT), model(token_ids_BT))


def test_a_pickle_that_would_run_code_is_refused(folder: Path) -> None:
    torch.save({"model.embed_tokens.weight": Path("/")}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(IncoderError, match="cannot be read"):
        load_checkpoint(folder)


def test_a_missing_weight_is_named(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.self_attn.k_proj.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(IncoderError, match=r"lack model\.layers\.1\.self_attn\.k_proj\.weight"):
        load_checkpoint(folder)


def test_a_weight_that_no_part_takes_is_named(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.9.stray.weight"] = torch.zeros(1)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(IncoderError, match=r"model\.layers\.9\.stray\.weight"):
        load_checkpoint(folder)


def test_a_weight_of_another_shape_is_named(folder: Path) -> None:
    change_config(folder, vocab_size=99)
    with pytest.raises(IncoderError, match=r"embedding\.weight has the shape \(101, 48\)"):
        load_checkpoint(folder)


def test_an_unknown_architecture_names_the_known_ones(folder: Path) -> None:
    change_config(folder, model_type="mamba")
    with pytest.raises(IncoderError, match="'mamba' is not known; known are xglm, llama and qwen2"):
        load_checkpoint(folder)


def test_a_folder_without_a_checkpoint_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="is not a checkpoint"):
        load_checkpoint(tmp_path)


def test_a_cut_file_is_a_clear_error(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(IncoderError, match="cannot be read"):
        load_checkpoint(folder)
