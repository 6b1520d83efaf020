"""The Triton step against its reference implementation: on a CUDA device, else by Triton's interpreter."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
import torch

from incoder.inference.backends import triton_step as gpu_step
from incoder.inference.backends.backend import Chunk
from incoder.inference.backends.cuda_graphs import FixedSizeStep
from incoder.inference.backends.eager_step import EagerBackend, EagerStep
from incoder.inference.backends.layers import read_layers
from incoder.inference.backends.step_inputs import StepInputs
from incoder.inference.backends.triton_step import TritonGraphs, TritonStep, has_triton
from incoder.inference.cache.sequence import BlockSequence
from incoder.inference.engine.runner import Runner
from incoder.model.quantization import QuantizedEmbedding, quantize, set_compute_dtype
from incoder.model.transformer import Transformer, TransformerConfig

Result = tuple[torch.Tensor, list[torch.Tensor]]

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LLAMA = TransformerConfig(
    "llama",
    vocab_size=61,
    hidden_size=40,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=18,
    inner_size=50,  # none of the widths is a power of two
    max_positions=160,
)
CONFIGS = {
    "llama": LLAMA,
    "qwen2": replace(LLAMA, qkv_bias=True, tie_embeddings=False),
    "granite code": replace(LLAMA, qkv_bias=True, out_bias=True, mlp_bias=True),
    "starcoder2": replace(LLAMA, shape="starcoder2", num_heads=4, head_dim=10),
    "xglm": replace(LLAMA, shape="xglm", num_heads=4, num_kv_heads=4, head_dim=10),
}
IS_OVERLAPPED = DEVICE.type == "cuda" and TritonStep.can_overlap(DEVICE)
TOKEN_IDS = torch.randint(61, (160,), generator=torch.Generator().manual_seed(1)).tolist()


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
        set_compute_dtype(model.to(kept), dtype)
    return model.to(DEVICE) if kept is not None else model.to(DEVICE, dtype)


def runner_of(model: Transformer) -> Runner:
    """With a cache that was never written, as bad as memory can be."""
    runner = Runner(model)
    with torch.inference_mode():
        for tensor in [*runner.cache.keys, *runner.cache.values]:
            tensor.fill_(float("nan"))
    return runner


def read(runner: Runner, sequences: Sequence[BlockSequence], rows: Sequence[Sequence[int]]) -> torch.Tensor:
    chunks = [Chunk(sequence, row, 1) for sequence, row in zip(sequences, rows, strict=True)]
    return torch.cat(runner.run(chunks))


def with_more(
    runner: Runner, sequences: Sequence[BlockSequence], num_rows: int, new_ids: Sequence[Sequence[int]]
) -> StepInputs:
    """The inputs of a step in which the sequences read these tokens."""
    for sequence, ids in zip(sequences, new_ids, strict=True):
        if (blocks := sequence.append(ids)) is not None:
            with torch.inference_mode():
                runner.cache.copy_block(*blocks)
    inputs = StepInputs(num_rows, num_slots=128, device=DEVICE)
    inputs.set(new_ids, [sequence.extents() for sequence in sequences])
    return inputs


def fused_step(model: Transformer, runner: Runner, inputs: StepInputs) -> TritonStep:
    """As it is recorded on this device."""
    return TritonStep(read_layers(model), runner.cache, inputs, is_overlapped=IS_OVERLAPPED)


@torch.inference_mode()
def result(step: Callable[[], torch.Tensor], runner: Runner, sequences: Sequence[BlockSequence]) -> Result:
    """The logits of all rows, and the keys and values of all tokens of these sequences."""
    logits_BV = step().float()
    slots = [slot for sequence in sequences for slot in sequence.slots(0)]
    return logits_BV, [tensor[:, slots].float() for tensor in (*runner.cache.keys, *runner.cache.values)]


def opened(runner: Runner, lengths: Sequence[int]) -> list[BlockSequence]:
    """Return sequences that have read these numbers of tokens."""
    sequences = [runner.open(160) for _ in lengths]
    read(runner, sequences, [TOKEN_IDS[i : i + length] for i, length in enumerate(lengths)])
    return sequences


def fused_and_reference(
    model: Transformer, lengths: Sequence[int], num_rows: int, num_new: Sequence[int] | None = None
) -> tuple[Result, Result]:
    """What the fused step computes after texts of these lengths, and what PyTorch does.

    Each in memory of its own, so that the one cannot find what the other stored. Without `num_new` each
    sequence reads one token.
    """
    new_ids = [TOKEN_IDS[100 + 3 * i :][:num] for i, num in enumerate(num_new or [1] * len(lengths))]
    results = []
    for is_fused in (True, False):
        runner = runner_of(model)
        sequences = opened(runner, lengths)
        inputs = with_more(runner, sequences, num_rows, new_ids)
        slow = FixedSizeStep(EagerStep(read_layers(model)), runner.cache, inputs)
        step = fused_step(model, runner, inputs) if is_fused else slow
        results.append(result(step, runner, sequences))
    return results[0], results[1]


def assert_near(found: Result, expected: Result) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("lengths", [[1], [70], [64, 5, 30]], ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_fused_step_is_pytorchs(name: str, lengths: list[int]) -> None:
    """Rows and slots of padding, and memory that was never written, make no difference."""
    num_rows = 1 if len(lengths) == 1 else 4
    assert_near(*fused_and_reference(random_model(CONFIGS[name]), lengths, num_rows))


@pytest.mark.parametrize(("lengths", "num_new"), [([20], [7]), ([20, 61, 1], [3, 4, 1])], ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_fused_step_reads_several_tokens_of_a_sequence(
    name: str, lengths: list[int], num_new: list[int]
) -> None:
    """Each sees those before it, which are nowhere in the cache yet; alone, and beside single ones."""
    assert_near(*fused_and_reference(random_model(CONFIGS[name]), lengths, 8, num_new))


@pytest.mark.parametrize("name", ["qwen2", "xglm"])
def test_several_tokens_of_a_sequence_may_be_in_several_parts_of_its_slots(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here of 16 slots each: across a border, up to it, from it on, and over more than a part."""
    monkeypatch.setattr(gpu_step, "_MIN_SLOTS", 16)
    monkeypatch.setattr(gpu_step, "_NUM_PROGRAMS", 10_000)
    model = random_model(replace(CONFIGS[name], num_layers=1))
    for lengths, num_new in [([30], [4]), ([25, 32], [7, 1]), ([14], [20])]:
        assert_near(*fused_and_reference(model, lengths, sum(num_new), num_new))


def test_a_fused_step_reads_drafts_as_a_step_of_any_size_does() -> None:
    """After a rollback, new tokens overwrite the rejected ones."""
    model = random_model(CONFIGS["llama"])
    runner = runner_of(model)
    eager = Runner(model, backends=[EagerBackend])
    (sequence,), (reference,) = opened(runner, [30]), opened(eager, [30])
    inputs = StepInputs(4, num_slots=128, device=DEVICE)
    step = fused_step(model, runner, inputs)
    for ids, num_kept in [([5, 6, 7], 1), ([8, 9, 10, 11], 4), ([12], 1), ([13, 14], 0), ([15, 16, 17], 3)]:
        sequence.append(ids)
        inputs.set([ids], [sequence.extents()])
        (expected,) = eager.run([Chunk(reference, ids, len(ids))])
        logits_BV, _ = result(step, runner, [sequence])
        torch.testing.assert_close(logits_BV[: len(ids)], expected, rtol=1e-4, atol=1e-4)
        for one in (sequence, reference):
            one.rollback(len(ids) - num_kept)


def test_a_fused_step_of_many_rows_is_pytorchs() -> None:
    model = random_model(replace(CONFIGS["starcoder2"], num_layers=1))
    assert_near(*fused_and_reference(model, [*range(1, 16), 70], num_rows=16))


@pytest.mark.parametrize("lengths", [[70], [64, 5]], ids=str)
@pytest.mark.parametrize("name", ["qwen2", "xglm"])
def test_large_matrices_and_long_texts_are_read_in_several_blocks(
    name: str, lengths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here of 16 numbers of a row of a matrix and of 16 slots, so that small networks have several."""
    monkeypatch.setattr(gpu_step, "tiling", lambda *_, **__: gpu_step.Tiling(16, 16, num_warps=4))
    monkeypatch.setattr(gpu_step, "_MIN_SLOTS", 16)
    for num_programs in (1, 8 * len(lengths)):  # one part of the slots, and two
        monkeypatch.setattr(gpu_step, "_NUM_PROGRAMS", num_programs)
        assert_near(*fused_and_reference(random_model(CONFIGS[name]), lengths, len(lengths)))


@pytest.mark.parametrize("kept", [torch.int8, torch.bfloat16])
@pytest.mark.parametrize("lengths", [[20], [20, 5]], ids=str)
def test_a_fused_step_reads_weights_in_few_bits(lengths: list[int], kept: torch.dtype) -> None:
    model = random_model(CONFIGS["qwen2"], kept=kept)
    assert_near(*fused_and_reference(model, lengths, len(lengths)))


@pytest.mark.parametrize("kept", [None, torch.int8])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_fused_step_in_half_precision_is_as_near_to_float32_as_pytorchs(
    dtype: torch.dtype, kept: torch.dtype | None
) -> None:
    model = random_model(CONFIGS["xglm"], dtype, kept)
    # The interpreter multiplies the bits of several rows of bfloat16, not the numbers.
    can_multiply_rows = DEVICE.type == "cuda" or dtype != torch.bfloat16
    for lengths in [[20], [20, 5]] if can_multiply_rows else [[20]]:
        (found, _), (reference, _) = fused_and_reference(model, lengths, len(lengths))
        wide = copy.deepcopy(model).float()
        if isinstance(wide.embedding, QuantizedEmbedding):
            wide.embedding._dtype = torch.float32
        _, (exact, _) = fused_and_reference(wide, lengths, len(lengths))
        assert (found - exact).norm() < 1.2 * (reference - exact).norm()


def test_norms_see_small_differences_beside_a_large_mean() -> None:
    """As trained models have them: a few channels carry most of the stream."""
    model = random_model(CONFIGS["xglm"])
    with torch.no_grad():
        weight_VD = model.embedding.get_parameter("weight")
        weight_VD.add_(100)
        weight_VD[:, 7].mul_(10)
    assert_near(*fused_and_reference(model, [20], 1))


def test_a_fused_step_reads_what_forks_share_and_what_they_do_not() -> None:
    model = random_model(CONFIGS["llama"])
    runner = runner_of(model)
    sequences = opened(runner, [21])
    sequences += [sequences[0].fork(), sequences[0].fork()]
    for first_token in (30, 40):
        inputs = with_more(runner, sequences, 4, [[first_token + i] for i in range(3)])
        expected = result(
            FixedSizeStep(EagerStep(read_layers(model)), runner.cache, inputs), runner, sequences
        )
        assert_near(result(fused_step(model, runner, inputs), runner, sequences), expected)


def test_a_step_can_be_taken_again_and_again() -> None:
    model = random_model(replace(CONFIGS["xglm"], num_layers=1))
    runner = runner_of(model)
    sequences = opened(runner, [62])
    inputs = with_more(runner, sequences, 1, [[40]])
    fused, reference = (
        fused_step(model, runner, inputs),
        FixedSizeStep(EagerStep(read_layers(model)), runner.cache, inputs),
    )
    for token_id in range(10, 14):  # beyond the slots that one program reads
        result(fused, runner, sequences)
        assert_near(result(fused, runner, sequences), result(reference, runner, sequences))
        sequences[0].append([token_id])
        inputs.set([[token_id]], [sequences[0].extents()])


def test_networks_that_the_kernels_cannot_read_are_left_to_pytorch() -> None:
    assert TritonGraphs.is_available(read_layers(random_model(LLAMA))) == (DEVICE.type == "cuda")
    assert not TritonGraphs.is_available(read_layers(random_model(LLAMA).double()))
    assert not TritonGraphs.is_available(read_layers(random_model(LLAMA).cpu()))
