"""`incoder.load`: by name and by folder, and what it says when that cannot be."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import incoder
from incoder.embedded_models import embedded_models
from incoder.errors import IncoderError
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.infill_model import InfillModel
from incoder.inference.models import catalogue, loading
from incoder.model.checkpoint import save_checkpoint
from incoder.model.quantization import QuantizedLinear
from incoder.model.transformer import Transformer, TransformerConfig
from incoder.tokenizer.tokenizer import Tokenizer


@pytest.fixture
def folder(tiny_tokenizer: Tokenizer, tmp_path: Path) -> Path:
    config = TransformerConfig("llama", tiny_tokenizer.vocab_size, 32, 2, 4, 2, 8, 64, max_positions=128)
    model = Transformer(config)
    model.init_weights(torch.Generator().manual_seed(0))
    save_checkpoint(model, tmp_path / "nonsense", tokenizer=tiny_tokenizer)
    return tmp_path / "nonsense"


def dtype_of(model: InfillModel) -> torch.dtype:
    """What the matrices are kept in."""
    assert isinstance(model.language_model, TransformerModel)
    transformer = model.language_model.transformer
    return max((*transformer.parameters(), *transformer.buffers()), key=torch.numel).dtype


def test_a_folder_is_loaded_and_fills(folder: Path) -> None:
    model = incoder.load(folder, device="cpu")
    result = model.infill(["x = ", "\n"], max_new_tokens=4)
    assert result.text == f"x = {result.infills[0]}\n"


def test_an_embedded_model_goes_by_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incoder.embedded_models.EMBEDDED", folder.parent)
    assert embedded_models() == ["nonsense"]
    assert incoder.load("nonsense").infill(["", ""], max_new_tokens=1).infills


def test_on_a_cpu_the_weights_are_float32_unless_asked_otherwise(folder: Path) -> None:
    assert dtype_of(incoder.load(folder, device="cpu")) == torch.float32
    assert dtype_of(incoder.load(folder, device="cpu", dtype="bfloat16")) == torch.bfloat16
    assert dtype_of(incoder.load(folder, device="cpu", dtype=torch.float64)) == torch.float64


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_with_a_gpu_the_weights_are_there_and_in_bfloat16_unless_asked_otherwise(folder: Path) -> None:
    model = incoder.load(folder)
    assert isinstance(model.language_model, TransformerModel)
    assert model.language_model.transformer.device.type == "cuda"
    assert dtype_of(model) == torch.bfloat16
    assert dtype_of(incoder.load(folder, dtype="float16")) == torch.float16


@pytest.mark.parametrize("is_fast", [False, True])
def test_half_precision_is_only_kept_where_the_processor_cannot_multiply_in_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, is_fast: bool
) -> None:
    monkeypatch.setattr(loading, "is_fast_in", lambda dtype, _: is_fast or dtype == torch.float32)
    model = incoder.load(folder, device="cpu", dtype="bfloat16")
    assert isinstance(model.language_model, TransformerModel)
    assert model.language_model.transformer.dtype == (torch.bfloat16 if is_fast else torch.float32)
    assert dtype_of(model) == torch.bfloat16


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "int4"])
def test_a_model_in_another_precision_fills_too(folder: Path, device: torch.device, dtype: str) -> None:
    result = incoder.load(folder, device=device, dtype=dtype).infill(
        ["x = ", "\n", ""], num_candidates=3, temperature=1.0, max_new_tokens=6
    )
    assert len(result.candidates) == 3


def test_four_bits_are_those_of_a_blocks_matrices(tiny_tokenizer: Tokenizer, tmp_path: Path) -> None:
    wide = TransformerConfig("llama", tiny_tokenizer.vocab_size, 128, 1, 4, 4, 32, 128, max_positions=64)
    transformer = Transformer(wide)
    transformer.init_weights(torch.Generator().manual_seed(0))
    save_checkpoint(transformer, tmp_path, tokenizer=tiny_tokenizer)
    model = incoder.load(tmp_path, dtype="int4")
    assert isinstance(model.language_model, TransformerModel)
    linear = [m for m in model.language_model.transformer.blocks.modules() if isinstance(m, QuantizedLinear)]
    assert [module.weight_OI.dtype for module in linear] == [torch.uint8] * 4
    assert model.infill(["x = ", "\n"], max_new_tokens=4).infills


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../gigantic", r"there is no model '../gigantic'; give"),
        ("a--b/c.git", r"there is no model 'a--b/c.git'; give"),
        (
            "gigantic",
            r"there is no model 'gigantic'; give an embedded model \(.*\), a .* folder, a GGUF file, or",
        ),
        ("/", r"/ is not a checkpoint: it has no config.json"),
    ],
)
def test_a_model_that_is_not_there_is_named(name: str, message: str) -> None:
    with pytest.raises(IncoderError, match=message):
        incoder.load(name)


def test_only_models_on_the_hub_have_revisions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IncoderError, match="nonsense is a folder, and only models on the hub have revisions"):
        incoder.load(folder, revision="float16")
    monkeypatch.setattr("incoder.embedded_models.EMBEDDED", folder.parent)
    with pytest.raises(IncoderError, match="nonsense is embedded, and only models on the hub"):
        incoder.load("nonsense", revision="float16")


def test_a_device_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(IncoderError, match="there is no device 'abacus'"):
        incoder.load(folder, device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(IncoderError, match="no CUDA GPU"):
            incoder.load(folder, device="cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(IncoderError, match="cannot use Metal"):
            incoder.load(folder, device="mps")
    for device in ("meta", "xpu:0"):
        with pytest.raises(IncoderError, match=f"cpu, cuda and mps, not on {device[:3]}"):
            incoder.load(folder, device=device)


def test_an_unknown_dtype_is_named(folder: Path) -> None:
    with pytest.raises(IncoderError, match=r"dtype must be one of float32, .*int8, int4, got 'int3'"):
        incoder.load(folder, dtype="int3")
    with pytest.raises(IncoderError, match=r"got 'torch\.int16'"):
        incoder.load(folder, dtype=torch.int16)


def test_a_tokenizer_larger_than_its_model_is_refused(folder: Path, tiny_tokenizer: Tokenizer) -> None:
    config = TransformerConfig("llama", 600, 32, 2, 4, 2, 8, 64, max_positions=128)
    model = Transformer(config)
    model.init_weights(torch.Generator().manual_seed(0))
    save_checkpoint(model, folder, tokenizer=tiny_tokenizer)
    with pytest.raises(IncoderError, match="the tokenizer has 640 tokens, the model only 600"):
        incoder.load(folder)


def test_a_model_with_a_padded_vocabulary_never_writes_the_padding(
    folder: Path, tiny_tokenizer: Tokenizer
) -> None:
    config = TransformerConfig("llama", 1024, 32, 2, 4, 2, 8, 64, max_positions=128)
    model = Transformer(config)
    model.init_weights(torch.Generator().manual_seed(0))
    save_checkpoint(model, folder, tokenizer=tiny_tokenizer)
    assert incoder.load(folder).infill(["x", ""], temperature=100.0, top_p=1.0, max_new_tokens=60).infills


def test_a_broken_configuration_is_named(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "abacus"}))
    with pytest.raises(IncoderError, match="model_type 'abacus' is not known"):
        incoder.load(folder)
    with pytest.raises(IncoderError, match="has no 'vocab_size'"):
        catalogue.describe_model(folder)


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_settings_that_are_no_settings_are_named(folder: Path, file: str) -> None:
    (folder / file).write_text("[1]")
    with pytest.raises(IncoderError, match=f"{file} must hold a JSON object, got list"):
        incoder.load(folder)
    if file == "config.json":
        with pytest.raises(IncoderError, match="must hold a JSON object, got list"):
            catalogue.describe_model(folder)


def test_a_loaded_model_is_pickled_as_where_it_is_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    model = incoder.load(folder.name, device="cpu", dtype=torch.bfloat16)
    pickled = pickle.dumps(model)
    assert len(pickled) < 1000
    monkeypatch.chdir("/")
    again = pickle.loads(pickled)
    assert dtype_of(again) == torch.bfloat16
    assert again.infill(["x = ", "\n"], max_new_tokens=4) == model.infill(["x = ", "\n"], max_new_tokens=4)


def test_a_model_made_from_its_parts_says_that_it_cannot_be_pickled(folder: Path) -> None:
    model = incoder.load(folder, device="cpu")
    with pytest.raises(
        IncoderError, match="this one was made from its parts; save them with save_checkpoint"
    ):
        pickle.dumps(InfillModel(model.language_model, model.tokenizer))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_says_at_once_that_it_cannot_compute(folder: Path) -> None:
    script = (
        "import os, sys, incoder, warnings\nwarnings.simplefilter('ignore')\n"
        f"model = incoder.load({str(folder)!r})\nmodel.infill('x = <FILL>', max_new_tokens=2)\n"
        "child = os.fork()\n"
        "if child == 0:\n    try:\n        model.infill('y = <FILL>')\n"
        "    except incoder.errors.IncoderError as error:\n        print(error, flush=True)\n"
        "    os._exit(3)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    error, status = done.stdout.splitlines()
    assert "the threads that compute do not survive a fork" in error
    assert status == "3"


def test_the_folder_of_a_training_run_names_its_model(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "model")
    (tmp_path / "metrics.jsonl").touch()
    assert catalogue.find_model(tmp_path) == tmp_path / "model"
    with pytest.raises(IncoderError, match=r"is not a checkpoint: it has no config.json"):
        catalogue.find_model(tmp_path.parent)


@pytest.mark.parametrize("name", ["x" * 5000, "x/" * 2500, "owner/" + "x" * 5000, "x\0y"])
def test_a_name_that_no_folder_can_have_is_no_model(name: str) -> None:
    with pytest.raises(IncoderError, match="there is no model") as raised:
        catalogue.find_model(name)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "other"])
def test_a_fifo_in_a_checkpoint_is_not_waited_for(name: str, folder: Path) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(
        IncoderError, match=r"is a FIFO; a checkpoint has regular files only|has no config.json"
    ):
        incoder.load(folder)
