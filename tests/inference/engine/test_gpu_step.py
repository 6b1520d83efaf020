"""The fused step against its slow twin: on a CUDA device, else as Triton's interpreter computes it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch

from incoder.inference.engine.gpu_step import FusedStep, has_triton
from incoder.inference.engine.graphs import FixedSizeStep
from incoder.inference.engine.runner import Chunk, Runner
from incoder.inference.engine.sequence import BlockSequence
from incoder.inference.engine.step_inputs import StepInputs
from incoder.inference.token_step import TokenStep
from incoder.model.quantization import quantize, widen
from incoder.model.transformer import Transformer, TransformerConfig

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LLAMA = TransformerConfig(
    "llama",
    vocab_size=97,
    hidden_size=40,
    num_layers=2,
    num_heads=6,
    num_kv_heads=2,
    head_dim=18,
    inner_size=50,  # none of the widths is a power of two
    max_positions=160,
)
CONFIGS = {
    "llama": LLAMA,
    "qwen2": replace(LLAMA, qkv_bias=True, tie_embeddings=False),
    "starcoder2": replace(LLAMA, shape="starcoder2", num_heads=4, head_dim=10),
    "xglm": replace(LLAMA, shape="xglm", num_heads=4, num_kv_heads=4, head_dim=10),
}
TOKEN_IDS = torch.randint(97, (160,), generator=torch.Generator().manual_seed(1)).tolist()


@pytest.fixture(autouse=True, scope="module")
def kernels() -> Iterator[None]:
    """Where there is no CUDA device, Triton reads this when the kernels are first imported."""
    with pytest.MonkeyPatch.context() as patch:
        if DEVICE.type == "cpu":
            patch.setenv("TRITON_INTERPRET", "1")
        if not has_triton():
            pytest.skip("needs Triton, which comes with PyTorch for CUDA")
        yield


def random_model(
    config: TransformerConfig, dtype: torch.dtype = torch.float32, kept: torch.dtype | None = None
) -> Transformer:
    model = Transformer(config).eval()
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=stream)
    if kept == torch.int8:
        quantize(model, dtype)
    elif kept is not None:
        widen(model.to(kept), dtype)
    return model.to(DEVICE) if kept is not None else model.to(DEVICE, dtype)


def runner_of(model: Transformer) -> Runner:
    """With a cache that was never written, as bad as memory can be."""
    runner = Runner(model)
    with torch.inference_mode():
        for tensor in [*runner._store.keys, *runner._store.values]:
            tensor.fill_(float("nan"))
    return runner


def read(runner: Runner, sequences: Sequence[BlockSequence], rows: Sequence[Sequence[int]]) -> torch.Tensor:
    chunks = [Chunk(sequence, row, 1) for sequence, row in zip(sequences, rows, strict=True)]
    return torch.cat(runner.run(chunks))


def opened(runner: Runner, lengths: Sequence[int]) -> list[BlockSequence]:
    """Sequences that have read so many tokens."""
    sequences = [runner.open(160) for _ in lengths]
    read(runner, sequences, [TOKEN_IDS[i : i + length] for i, length in enumerate(lengths)])
    return sequences


def assert_step_is_its_twin(
    model: Transformer, runner: Runner, sequences: Sequence[BlockSequence], num_rows: int, tolerance: float
) -> None:
    """One more token each: the same logits, and the same keys and values where they belong."""
    tokens = [[50 + row] for row in range(len(sequences))]
    for sequence, token in zip(sequences, tokens, strict=True):
        if (copy := sequence.append(token)) is not None:
            with torch.inference_mode():
                runner._store.copy_block(*copy)
    inputs = StepInputs(num_rows, num_slots=256, device=DEVICE)
    inputs.set([token_id for (token_id,) in tokens], [sequence.runs() for sequence in sequences])
    slots = [slot for sequence in sequences for slot in sequence.slots(0)]
    stored = [*runner._store.keys, *runner._store.values]
    steps = [
        FixedSizeStep(TokenStep(model), runner._store, inputs),
        FusedStep(model, runner._store, inputs),
    ]
    with torch.inference_mode():
        (expected, expected_stored), (found, found_stored) = (
            (step().float()[: len(sequences)], [tensor[:, slots] for tensor in stored]) for step in steps
        )
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    for found_tensor, expected_tensor in zip(found_stored, expected_stored, strict=True):
        torch.testing.assert_close(found_tensor, expected_tensor, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_fused_step_gives_the_logits_of_pytorchs(name: str) -> None:
    model = random_model(CONFIGS[name])
    for lengths in [[1], [70], [30, 5, 64], [20] * 16]:
        runner = runner_of(model)
        num_rows = 4 if len(lengths) == 3 else len(lengths)
        assert_step_is_its_twin(model, runner, opened(runner, lengths), num_rows, 1e-4)
