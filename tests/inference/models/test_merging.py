"""A model with an adapter: added while it is loaded, or written as a checkpoint of its own."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import incoder
from incoder.errors import IncoderError
from incoder.inference.models.merging import merge_adapter
from incoder.model.adapters import Adapter, Pair, fingerprint, save_adapter
from incoder.model.checkpoint import load_checkpoint, save_checkpoint
from incoder.model.transformer import Transformer, TransformerConfig
from incoder.tokenizer.tokenizer import Tokenizer

PROMPT = "def mean(xs):\n    return "


@pytest.fixture
def base(tiny_tokenizer: Tokenizer, tmp_path: Path) -> Path:
    config = TransformerConfig("llama", tiny_tokenizer.vocab_size, 32, 2, 4, 2, 8, 64, max_positions=128)
    model = Transformer(config)
    model.init_weights(torch.Generator().manual_seed(0))
    save_checkpoint(model, tmp_path / "base", tokenizer=tiny_tokenizer, num_tail_lines=2)
    return tmp_path / "base"


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    model = load_checkpoint(base)
    generator = torch.Generator().manual_seed(1)
    pairs = {
        f"model.layers.{layer}.self_attn.v_proj": Pair(
            torch.randn(2, 32, generator=generator), torch.randn(16, 2, generator=generator)
        )
        for layer in (0, 1)
    }
    save_adapter(Adapter(2, 8.0, pairs, "base", fingerprint(model)), tmp_path / "adapter")
    return tmp_path / "adapter"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "int4"])
def test_a_model_is_loaded_with_an_adapter_as_its_merged_folder_is(
    base: Path, adapter: Path, tmp_path: Path, dtype: str
) -> None:
    merge_adapter(base, adapter, tmp_path / "merged")
    merged = incoder.load(tmp_path / "merged", device="cpu", dtype=dtype)
    adapted = incoder.load(base, device="cpu", dtype=dtype, adapter=adapter)
    plain = incoder.load(base, device="cpu", dtype=dtype)
    # The folder is in bfloat16, so its sums were rounded once more.
    tolerance = 0.02
    score = adapted.score(PROMPT).total_logprob
    assert score == pytest.approx(merged.score(PROMPT).total_logprob, abs=tolerance)
    assert abs(score - plain.score(PROMPT).total_logprob) > 10 * tolerance
    assert merged.num_tail_lines == 2


def test_a_model_with_an_adapter_is_pickled_with_it(base: Path, adapter: Path) -> None:
    adapted = incoder.load(base, device="cpu", adapter=adapter)
    again = pickle.loads(pickle.dumps(adapted))
    assert again.score(PROMPT) == adapted.score(PROMPT)


def test_merging_takes_the_tokenizer_and_the_stored_precision_along(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    merge_adapter(base, adapter, tmp_path / "merged")
    merged, files = load_file(tmp_path / "merged" / "model.safetensors"), ("tokenizer.json", "config.json")
    assert {weight.dtype for weight in merged.values()} == {torch.bfloat16}
    for file in files:
        assert (tmp_path / "merged" / file).read_bytes() == (base / file).read_bytes()


def test_merging_replaces_nothing(base: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="exists and is not an empty folder; name a new one"):
        merge_adapter(base, adapter, base)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(IncoderError, match="exists and is not an empty folder"):
        merge_adapter(base, adapter, tmp_path / "file")


def test_what_is_no_adapter_is_refused_before_anything_is_written(base: Path, tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="is not an adapter"):
        merge_adapter(base, tmp_path, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    with pytest.raises(IncoderError, match="is not an adapter"):
        incoder.load(base, adapter=tmp_path / "missing")
    with pytest.raises(IncoderError, match="an adapter is given by its folder, got 3"):
        incoder.load(base, adapter=3)  # type: ignore[call-overload] # that is the point


def test_a_folder_with_an_adapter_alone_is_refused_with_the_remedy(adapter: Path) -> None:
    with pytest.raises(IncoderError, match=r"a LoRA adapter.*load its base model with --adapter"):
        incoder.load(adapter)
