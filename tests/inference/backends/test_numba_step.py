"""Compiled steps against the network's own forward pass."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest
import torch

from incoder.inference.backends.backend import Chunk
from incoder.inference.backends.layers import read_layers
from incoder.inference.backends.numba_step import NumbaBackend
from incoder.inference.cache.sequence import BlockSequence
from incoder.inference.engine.runner import Runner
from incoder.model.gemv import MAX_ROWS
from incoder.model.quantization import quantize, set_compute_dtype
from incoder.model.rotary import RopeScaling
from incoder.model.transformer import Transformer, TransformerConfig

pytest.importorskip("numba")

LLAMA = TransformerConfig(
    "llama",
    vocab_size=97,
    hidden_size=40,
    num_layers=2,
    num_heads=6,
    num_kv_heads=2,
    head_dim=18,
    inner_size=50,  # of the widths none is a multiple of a vector's, nor of four
    max_positions=128,
)
CONFIGS = {
    "llama": LLAMA,
    "qwen2": replace(LLAMA, qkv_bias=True),
    "granite code": replace(LLAMA, qkv_bias=True, out_bias=True, mlp_bias=True),
    "starcoder2": replace(LLAMA, shape="starcoder2", num_heads=4, head_dim=10),
    "stretched positions": replace(LLAMA, rope_scaling=RopeScaling(4.0)),
    "xglm": replace(LLAMA, shape="xglm", num_heads=4, num_kv_heads=4, head_dim=10),
}
WIDE = replace(LLAMA, num_layers=1, hidden_size=1030, num_heads=20, head_dim=66, inner_size=1100)
TOKEN_IDS = torch.randint(97, (100,), generator=torch.Generator().manual_seed(1)).tolist()

Kept = Literal["float32", "bfloat16", "float16", "int8", "int4"]


def random_model(config: TransformerConfig, kept: Kept = "float32") -> Transformer:
    model = Transformer(config).eval()
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=stream)
    if kept in ("int8", "int4"):
        quantize(model, num_bits=int(kept.removeprefix("int")))
    elif kept != "float32":
        set_compute_dtype(model.to(getattr(torch, kept)))
    return model


@torch.inference_mode()
def logits_at_once(model: Transformer, token_ids: Sequence[int]) -> torch.Tensor:
    return model.logits(model(torch.tensor([token_ids])))[0]


def read(runner: Runner, sequence: BlockSequence, token_ids: Sequence[int]) -> torch.Tensor:
    return runner.run([Chunk(sequence, token_ids, len(token_ids))])[0]


def read_on_all_threads(model: Transformer) -> list[torch.Tensor]:
    """The logits after as many texts as are read at once, each a token longer than `TOKEN_IDS`."""
    runner = Runner(model)
    sequences = [runner.open(128) for _ in range(MAX_ROWS)]
    for sequence in sequences:
        read(runner, sequence, TOKEN_IDS)
    return runner.run([Chunk(sequence, [token_id], 1) for token_id, sequence in enumerate(sequences)])


def assert_near(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kept", ["float32", "bfloat16", "int8", "int4"])
@pytest.mark.parametrize("name", CONFIGS)
def test_short_steps_are_a_forward_pass(name: str, kept: Kept) -> None:
    config = CONFIGS[name]
    if kept == "int4":  # rows of 128 can be packed, those of the inner width stay in int8
        config = replace(config, hidden_size=128, num_heads=4, head_dim=32)
    model = random_model(config, kept)
    runner = Runner(model)
    sequence = runner.open(len(TOKEN_IDS))
    found = [read(runner, sequence, TOKEN_IDS[:30])]
    for start, end in [(30, 31), (31, 32), (32, 35), (35, 35 + MAX_ROWS), (35 + MAX_ROWS, 60), (60, 61)]:
        found.append(read(runner, sequence, TOKEN_IDS[start:end]))
    assert_near(torch.cat(found), logits_at_once(model, TOKEN_IDS[:61]))


@pytest.mark.parametrize("kept", ["float32", "bfloat16", "int8", "int4"])
def test_steps_on_all_threads_are_a_forward_pass(kept: Kept) -> None:
    config = WIDE
    if kept == "int4":  # of the widths, those that rows can be packed in
        config = replace(config, hidden_size=1024, head_dim=64, inner_size=1152)
    model = random_model(config, kept)
    for token_id, logits in enumerate(read_on_all_threads(model)):
        torch.testing.assert_close(
            logits, logits_at_once(model, [*TOKEN_IDS, token_id])[-1:], rtol=1e-3, atol=1e-2
        )


@pytest.mark.parametrize("name", CONFIGS)
def test_a_network_in_bfloat16_says_nearly_what_it_does_in_float32(name: str) -> None:
    rounded = random_model(CONFIGS[name]).bfloat16()
    runner = Runner(rounded)
    sequence = runner.open(len(TOKEN_IDS))
    found = torch.cat([read(runner, sequence, [token_id]) for token_id in TOKEN_IDS[:40]])
    expected = logits_at_once(rounded.float(), TOKEN_IDS[:40])
    assert NumbaBackend.is_available(read_layers(rounded))
    assert 0 < (found - expected).norm() < 0.01 * expected.norm()


def test_and_so_it_does_on_all_threads() -> None:
    rounded = random_model(WIDE).bfloat16()
    found = torch.cat(read_on_all_threads(rounded))
    texts = [[*TOKEN_IDS, token_id] for token_id in range(MAX_ROWS)]
    expected = torch.cat([logits_at_once(rounded.float(), text)[-1:] for text in texts])
    assert 0 < (found - expected).norm() < 0.02 * expected.norm()


def test_sequences_that_share_a_beginning_attend_to_their_own_tokens() -> None:
    model = random_model(LLAMA)
    runner = Runner(model)
    with torch.inference_mode():
        for tensor in [*runner.cache.keys, *runner.cache.values]:
            tensor.fill_(float("nan"))  # as memory may be that was never written
    sequences = [runner.open(80)]
    read(runner, sequences[0], TOKEN_IDS[:21])
    sequences += [sequences[0].fork(), sequences[0].fork(), runner.open(40)]
    read(runner, sequences[3], TOKEN_IDS[50:53])
    texts = [TOKEN_IDS[:21], TOKEN_IDS[:21], TOKEN_IDS[:21], TOKEN_IDS[50:53]]
    for step in range(20):
        # Sequences of one token each, and one that reads more, all of them in one step.
        new = [[60 + step], [70 - step], [50, step, step + 1], [step]]
        logits = runner.run([Chunk(one, ids, 1) for one, ids in zip(sequences, new, strict=True)])
        texts = [[*text, *ids] for text, ids in zip(texts, new, strict=True)]
        for found, text in zip(logits, texts, strict=True):
            assert_near(found, logits_at_once(model, text)[-1:])


def test_steps_find_a_cache_that_has_grown() -> None:
    model = random_model(LLAMA)
    runner = Runner(model, num_blocks=2)
    sequence = runner.open(100)
    found = [read(runner, sequence, [token_id]) for token_id in TOKEN_IDS[:70]]
    assert_near(torch.cat(found), logits_at_once(model, TOKEN_IDS[:70]))


def test_compiled_code_refers_to_no_class_that_may_be_renamed() -> None:
    """numba caches them with the types of arguments, and a later version must be able to load the cache."""
    from incoder.model import kernels

    runner = Runner(random_model(LLAMA))
    read(runner, runner.open(4), [1])
    assert kernels.compute_block.signatures
    assert "Matrix" not in str(kernels.compute_block.signatures)


def test_networks_that_the_kernels_cannot_read_are_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert NumbaBackend.is_available(read_layers(random_model(LLAMA)))
    assert not NumbaBackend.is_available(read_layers(random_model(LLAMA).half()))
    assert not NumbaBackend.is_available(read_layers(random_model(LLAMA, "float16")))
    monkeypatch.setattr("incoder.inference.backends.numba_step.has_kernels", lambda: False)
    assert not NumbaBackend.is_available(read_layers(random_model(LLAMA)))
