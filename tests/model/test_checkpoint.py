import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest
import torch
from safetensors.torch import load_file, save_file

from incoder.errors import IncoderError
from incoder.model import checkpoint
from incoder.model.checkpoint import load_checkpoint, save_checkpoint, write_checkpoint
from incoder.model.generation_config import load_num_tail_lines
from incoder.model.hugging_face import disk_names
from incoder.model.transformer import Shape, Transformer, TransformerConfig


class MakeModel(Protocol):
    def __call__(self, shape: Shape, **overrides: object) -> Transformer: ...


@contextmanager
def little_room() -> Iterator[None]:
    """No file may grow beyond 20 kB, which is to a writer what a full disk is."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def folder(tmp_path: Path, model: Transformer) -> Path:
    save_checkpoint(model, tmp_path, dtype=torch.float32)
    return tmp_path


def shard_weights(folder: Path, kind: str) -> list[str]:
    """The folder's weights in two files with an index, as large models are published."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    stem = "model" if kind == "safetensors" else "pytorch_model"
    names = [f"{stem}-0000{number}-of-00002.{kind}" for number in (1, 2)]
    weight_map = {name: names[index % 2] for index, name in enumerate(weights)}
    for file in names:
        part = {name: tensor for name, tensor in weights.items() if weight_map[name] == file}
        if kind == "safetensors":
            save_file(part, folder / file)
        else:
            torch.save(part, folder / file)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / f"{stem}.{kind}.index.json").write_text(json.dumps(index))
    return names


def own_memory() -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in line)
    return int(line.split()[1]) * 1024


def change_config(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def test_a_model_comes_back_as_it_was(folder: Path, model: Transformer, device: torch.device) -> None:
    loaded = load_checkpoint(folder, device=device)
    assert loaded.device.type == device.type
    save_checkpoint(loaded, folder / "again", dtype=torch.float32)
    for again in (loaded, load_checkpoint(folder / "again")):
        assert again.config == model.config
        for (name, before), after in zip(
            model.state_dict().items(), again.state_dict().values(), strict=True
        ):
            assert torch.equal(before, after.cpu()), name


def test_weights_keep_their_stored_precision_unless_another_is_asked_for(
    tmp_path: Path, model: Transformer
) -> None:
    save_checkpoint(model, tmp_path, dtype=torch.bfloat16)
    assert load_checkpoint(tmp_path).output_weight.dtype == torch.bfloat16
    assert load_checkpoint(tmp_path, dtype=torch.float32).output_weight.dtype == torch.float32


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_of_half_precision_reads_in_half_precision(
    folder: Path, model: Transformer, token_ids_BT: torch.Tensor, dtype: torch.dtype
) -> None:
    hidden_BTD = load_checkpoint(folder, dtype=dtype)(token_ids_BT)
    assert hidden_BTD.dtype == dtype
    error = (hidden_BTD.float() - model(token_ids_BT)).norm() / model(token_ids_BT).norm()
    assert error < 0.1


def test_what_was_loaded_can_be_trained_on(folder: Path, token_ids_BT: torch.Tensor) -> None:
    loaded = load_checkpoint(folder)
    torch.autograd.backward(loaded(token_ids_BT).square().mean())
    assert all(parameter.grad is not None for parameter in loaded.parameters())


def test_a_full_disk_is_a_clear_error_and_leaves_the_old_weights(folder: Path, model: Transformer) -> None:
    before = (folder / "model.safetensors").read_bytes()
    with little_room(), pytest.raises(IncoderError, match=r"cannot write .*model\.safetensors"):
        save_checkpoint(model, folder, dtype=torch.float32)
    assert (folder / "model.safetensors").read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
    }


def test_a_tied_head_is_stored_once_and_may_be_stored_twice(
    folder: Path, model: Transformer, token_ids_BT: torch.Tensor
) -> None:
    weights = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in weights
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, folder / "model.safetensors")
    assert torch.equal(load_checkpoint(folder)(token_ids_BT), model(token_ids_BT))


@torch.no_grad()
@pytest.mark.parametrize("is_tied", [True, False, None])
@pytest.mark.parametrize("head", ["absent", "same", "different", "another dtype", "instead of the embedding"])
@pytest.mark.parametrize("shape", ["llama", "xglm", "starcoder2"])
def test_a_head_is_tied_where_transformers_ties_it(
    tmp_path: Path,
    make_model: MakeModel,
    token_ids_BT: torch.Tensor,
    shape: Shape,
    head: str,
    is_tied: bool | None,
) -> None:
    """What the file holds decides: a head that differs from the embedding stays, whatever the config says."""
    transformers = pytest.importorskip("transformers")
    save_checkpoint(make_model(shape), tmp_path, dtype=torch.float32)
    config = json.loads((tmp_path / "config.json").read_text())
    config.pop("tie_word_embeddings")
    if is_tied is not None:  # else the family's default: true but for llama
        config["tie_word_embeddings"] = is_tied
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = load_file(tmp_path / "model.safetensors")
    embedding = weights["model.embed_tokens.weight"]
    if head == "same":
        weights["lm_head.weight"] = embedding.clone()
    elif head == "different":
        weights["lm_head.weight"] = embedding.flip(0)
    elif head == "another dtype":
        weights["lm_head.weight"] = embedding.half()
    elif head == "instead of the embedding":
        weights["lm_head.weight"] = weights.pop("model.embed_tokens.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    theirs, loading = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, output_loading_info=True
    )
    if loading["missing_keys"]:  # it draws random weights, with a warning
        with pytest.raises(IncoderError, match="the weights lack"):
            load_checkpoint(tmp_path)
        return
    ours = load_checkpoint(tmp_path)
    torch.testing.assert_close(
        ours.logits(ours(token_ids_BT)), theirs(token_ids_BT).logits, atol=1e-4, rtol=1e-4
    )
    save_checkpoint(ours, tmp_path / "again", dtype=torch.float32)  # and says so when it is saved
    again = load_checkpoint(tmp_path / "again")
    assert torch.equal(again.logits(again(token_ids_BT)), ours.logits(ours(token_ids_BT)))
    assert again.config == ours.config


def test_a_stored_table_of_positions_is_ignored(
    folder: Path, model: Transformer, token_ids_BT: torch.Tensor
) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_positions.weights"] = torch.zeros(66, 48)
    save_file(weights, folder / "model.safetensors")
    assert torch.equal(load_checkpoint(folder)(token_ids_BT), model(token_ids_BT))


@pytest.mark.parametrize("is_zip", [True, False])
def test_pickled_weights_load_too(
    folder: Path, model: Transformer, token_ids_BT: torch.Tensor, is_zip: bool
) -> None:
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=is_zip)
    (folder / "model.safetensors").unlink()
    assert torch.equal(load_checkpoint(folder)(token_ids_BT), model(token_ids_BT))


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_weights_in_several_files_load(
    folder: Path, model: Transformer, token_ids_BT: torch.Tensor, kind: str
) -> None:
    shard_weights(folder, kind)
    assert torch.equal(load_checkpoint(folder)(token_ids_BT), model(token_ids_BT))


def test_a_missing_file_of_several_is_named(folder: Path) -> None:
    names = shard_weights(folder, "bin")
    (folder / names[1]).unlink()
    with pytest.raises(IncoderError, match=f"lacks {names[1]}, of the 2 files named in pytorch_model"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "weight_map",
    [
        None,
        {},
        {"a": "../model.safetensors"},
        {"a": 1},
        {"a": ".."},
        {"a": "."},
        {"a": ""},
        {"a": "/model.safetensors"},
        {"a": "model.safetensors\n"},
        {"a": "b\0.safetensors"},
        {"a": "config.json"},
        {"a": "pytorch_model.bin"},  # a pickle, named by an index of safetensors
        {"a": ["model.safetensors"]},
        {"a": "x" * 300 + ".safetensors"},
        ["model.safetensors"],
    ],
)
def test_an_index_that_is_none_is_refused(folder: Path, weight_map: object) -> None:
    (folder / "model.safetensors").rename(folder / "elsewhere.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(IncoderError, match="is not an index of weights"):
        load_checkpoint(folder)


def test_safetensors_are_read_rather_than_pickles(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"not looked at")
    assert load_checkpoint(folder)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures memory as Linux tells it")
@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_a_model_is_never_in_memory_twice(
    tmp_path: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Memory of our own, counted before every weight; the system can drop pages that are a file's."""
    model = make_model("xglm", hidden_size=512, num_layers=6, inner_size=2048)
    save_checkpoint(model, tmp_path, dtype=torch.float16)
    if kind == "bin":
        torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
        (tmp_path / "model.safetensors").unlink()
    num_bytes = 4 * model.config.num_parameters
    del model
    before, peak = own_memory(), 0

    def counted(name: str, config: TransformerConfig) -> tuple[str, ...]:
        nonlocal peak
        peak = max(peak, own_memory())
        return disk_names(name, config)

    monkeypatch.setattr(checkpoint, "disk_names", counted)
    loaded = load_checkpoint(tmp_path, dtype=torch.float32)
    largest = 4 * 3 * 512 * 512
    assert max(peak, own_memory()) - before < num_bytes + 3 * largest
    assert loaded.config.num_parameters * 4 == num_bytes


def test_a_pickle_that_would_run_code_is_refused(folder: Path) -> None:
    torch.save({"model.embed_tokens.weight": Path("/")}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(IncoderError, match="cannot be read"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("content", "message"), [([1], "must hold weights by name, got list"), (None, "ends too early")]
)
def test_a_pickle_that_holds_no_weights_is_refused(folder: Path, content: object, message: str) -> None:
    (folder / "model.safetensors").unlink()
    if content is None:
        (folder / "pytorch_model.bin").touch()
    else:
        torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(IncoderError, match=message):
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
    with pytest.raises(IncoderError, match=r"model\.embed_tokens\.weight has the shape \(101, 48\)"):
        load_checkpoint(folder)


def test_a_part_of_a_fused_weight_of_another_shape_is_named(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.self_attn.k_proj.weight"] = torch.zeros(12, 47)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(IncoderError, match=r"0\.self_attn\.k_proj\.weight has the shape \(12, 47\)"):
        load_checkpoint(folder)


def test_a_fifo_in_place_of_weights_is_not_waited_for(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(IncoderError, match=r"model\.safetensors is not a regular file"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.bool, torch.complex64], ids=["whole numbers", "flags", "complex"]
)
def test_a_weight_that_holds_no_floating_point_numbers_is_named(folder: Path, dtype: torch.dtype) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] = torch.zeros(101, 48, dtype=dtype)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(IncoderError, match=r"embed_tokens\.weight holds torch\..* floating-point"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "x" * 10_000])
def test_a_strange_name_of_a_weight_is_shown_harmlessly(folder: Path, name: str) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, name: torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(IncoderError, match="no part of the network takes") as caught:
        load_checkpoint(folder)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["qweight", "qzeros", "g_idx", "weight_scale_inv"])
def test_quantized_weights_are_called_so(folder: Path, name: str) -> None:
    """As AutoGPTQ wrote them, without a word in `config.json`."""
    weights = load_file(folder / "model.safetensors")
    weights[f"model.layers.0.self_attn.k_proj.{name}"] = torch.zeros(3, dtype=torch.int32)
    del weights["model.layers.0.self_attn.k_proj.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(IncoderError, match=rf"holds quantized weights .*k_proj\.{name}.*only unquantized"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (
            ("adapter_config.json", "adapter_model.safetensors"),
            "a LoRA adapter.* load its base model with --adapter",
        ),
        (("mini-q4_k_m.gguf",), r"llama\.cpp's format"),
        (("consolidated.00.pth", "params.json"), "often ends in -hf"),
        (("tf_model.h5",), "TensorFlow"),
        (("flax_model.msgpack",), "Flax"),
    ],
)
@pytest.mark.parametrize("has_config", [True, False])
def test_a_folder_of_another_kind_is_told_what_it_is(
    tmp_path: Path, model: Transformer, names: tuple[str, ...], kind: str, has_config: bool
) -> None:
    save_checkpoint(model, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    if not has_config:
        (tmp_path / "config.json").unlink()
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(IncoderError, match=kind):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": 1000},  # within bounds, and not what the file holds
        {"max_position_embeddings": 3 * 10**7},
        {"max_position_embeddings": 10**4000},
        {"head_dim": 10**9},
        {"hidden_size": 10**9},
        {"intermediate_size": 10**9},
        {"vocab_size": 10**9},
        {"num_attention_heads": 10**9, "num_key_value_heads": 10**9},
        {"rope_theta": float("nan")},
        {"rope_theta": -1.0},
        {"rms_norm_eps": float("inf")},
        {"eos_token_id": 10**12},
        {"eos_token_id": 1.5},
        {"bos_token_id": [[["7"]]]},
        {"rope_scaling": {"rope_type": "linear", "factor": float("nan")}},
        {"rope_scaling": {"rope_type": ["linear"], "factor": 2.0}},
        {"rope_scaling": "linear"},
        {"tie_word_embeddings": "false"},
        {"model_type": ["llama"]},
        {"model_type": {"llama": 1}},
        {"model_type": "x" * 1_000_000},
        {"hidden_act": "x" * 1_000_000},
    ],
)
def test_a_hostile_configuration_is_refused_at_once_in_one_line(
    tmp_path: Path, make_model: MakeModel, change: dict[str, object]
) -> None:
    save_checkpoint(make_model("llama"), tmp_path)
    change_config(tmp_path, **change)
    before = own_memory() if Path("/proc/self/status").exists() else None
    with pytest.raises(IncoderError) as caught:
        load_checkpoint(tmp_path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    if before is not None:
        assert own_memory() - before < 100_000_000


@pytest.mark.parametrize("content", ["[" * 200_000, '{"a":' * 200_000, "[]", "{"])
def test_a_configuration_that_is_none_is_refused(folder: Path, content: str) -> None:
    for name in ("config.json", "generation_config.json"):
        before = (folder / name).read_text()
        (folder / name).write_text(content)
        with pytest.raises(IncoderError, match=name):
            load_checkpoint(folder) if name == "config.json" else load_num_tail_lines(folder)
        (folder / name).write_text(before)


@pytest.mark.parametrize("num_lines", [-1, True, 1.5, "2", [2], 10**9])
def test_a_number_of_tail_lines_that_is_none_is_refused(folder: Path, num_lines: object) -> None:
    (folder / "generation_config.json").write_text(json.dumps({"num_tail_lines": num_lines}))
    with pytest.raises(IncoderError, match="num_tail_lines must be a number of lines from 0 to"):
        load_num_tail_lines(folder)


def test_the_number_of_tail_lines_is_saved_and_read_by_its_old_name_too(
    tmp_path: Path, model: Transformer
) -> None:
    save_checkpoint(model, tmp_path, num_tail_lines=3)
    assert load_num_tail_lines(tmp_path) == 3
    (tmp_path / "generation_config.json").write_text('{"num_lead_lines": 4}')
    with pytest.warns(FutureWarning, match="num_lead_lines is called num_tail_lines now"):
        assert load_num_tail_lines(tmp_path) == 4
    (tmp_path / "generation_config.json").write_text("{}")
    assert load_num_tail_lines(tmp_path) == 0


def test_an_unknown_architecture_names_the_known_ones(folder: Path) -> None:
    change_config(folder, model_type="mamba")
    with pytest.raises(
        IncoderError, match="'mamba' is not known; known are xglm, llama, mistral, qwen2, starcoder2"
    ):
        load_checkpoint(folder)


def test_a_folder_without_a_checkpoint_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="is not a checkpoint"):
        load_checkpoint(tmp_path)


def test_a_cut_file_is_a_clear_error(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(IncoderError, match="cannot be read"):
        load_checkpoint(folder)


def weight_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("model"))


def write_in_files(model: Transformer, folder: Path, max_file_bytes: int) -> None:
    weights = model.state_dict().items()
    write_checkpoint(weights, model.config, folder, dtype=torch.float32, max_file_bytes=max_file_bytes)


def test_large_weights_are_written_into_several_files_with_an_index(
    model: Transformer, tmp_path: Path
) -> None:
    write_in_files(model, tmp_path / "one", max_file_bytes=1 << 30)
    assert weight_names(tmp_path / "one") == ["model.safetensors"]
    largest = max(weight.nbytes for weight in model.state_dict().values())
    write_in_files(model, tmp_path / "several", max_file_bytes=largest)
    *files, index = weight_names(tmp_path / "several")
    assert index == "model.safetensors.index.json"
    assert len(files) > 2
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    stored = [load_file(tmp_path / "several" / file) for file in files]
    assert all(sum(weight.nbytes for weight in file.values()) <= largest for file in stored)
    content = json.loads((tmp_path / "several" / index).read_text())
    assert content["weight_map"] == {
        name: file for file, part in zip(files, stored, strict=True) for name in part
    }
    assert content["metadata"]["total_size"] == sum(
        weight.nbytes for weight in load_file(tmp_path / "one" / "model.safetensors").values()
    )
    again = load_checkpoint(tmp_path / "several").state_dict()
    assert all(torch.equal(weight, again[name]) for name, weight in model.state_dict().items())


def test_weights_in_another_number_of_files_replace_the_earlier_ones(
    model: Transformer, tmp_path: Path
) -> None:
    for max_file_bytes in (1 << 30, 10_000, 20_000, 1 << 30):
        write_in_files(model, tmp_path, max_file_bytes)
        assert len(load_checkpoint(tmp_path).state_dict()) == len(model.state_dict())
    assert weight_names(tmp_path) == ["model.safetensors"]


def test_weights_that_cannot_be_written_whole_leave_all_files_as_they_were(
    model: Transformer, tmp_path: Path
) -> None:
    write_in_files(model, tmp_path, 10_000)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken() -> Iterator[tuple[str, torch.Tensor]]:
        for name, weight in model.state_dict().items():
            if name.startswith("final_norm"):
                raise OSError(28, "No space left on device")
            yield name, weight + 1

    with pytest.raises(IncoderError, match="No space left on device; nothing was changed"):
        write_checkpoint(broken(), model.config, tmp_path, dtype=torch.float32, max_file_bytes=10_000)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
