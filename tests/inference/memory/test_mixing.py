"""The mixed distribution against the formula, and the weights as they are stored."""

from pathlib import Path

import pytest
import torch

from incoder.errors import IncoderError
from incoder.files import write_text
from incoder.inference.memory import mixing
from incoder.inference.memory.lookup import Continuations
from incoder.inference.memory.mixing import DEFAULT_WEIGHTS, MixingWeights, mix, read_weights, weights_as_json


def always(weight: float) -> MixingWeights:
    """The same weight whatever is known."""
    score = torch.logit(torch.tensor(weight, dtype=torch.float64)).item()
    return MixingWeights((score,) * 7, 0, 0, 0, 0, 0)


def test_the_mixture_is_the_formula(device: torch.device) -> None:
    logits_BV = torch.randn(1, 50, generator=torch.Generator().manual_seed(0)).to(device)
    found = Continuations(4, {3: 6, 40: 2})
    shares_V = torch.zeros(50, device=device)
    shares_V[[3, 40]] = torch.tensor([0.75, 0.25], device=device)
    mixed_BV = mix(logits_BV, [found], always(0.3)).softmax(-1)
    assert torch.allclose(mixed_BV[0], 0.7 * logits_BV[0].softmax(-1) + 0.3 * shares_V, atol=1e-6)


def test_the_end_of_an_infill_stays_as_probable_as_it_was(device: torch.device) -> None:
    logits_BV = torch.randn(1, 50, generator=torch.Generator().manual_seed(1)).to(device)
    ends = [7, 8]
    own_V, mixed_V = (
        one[0].softmax(-1)
        for one in (logits_BV, mix(logits_BV, [Continuations(8, {3: 1})], always(0.9), ends))
    )
    assert torch.allclose(mixed_V[ends], own_V[ends], atol=1e-6)
    text = 1 - own_V[ends].sum()
    assert torch.allclose(mixed_V[3], 0.1 * own_V[3] + 0.9 * text, atol=1e-6)
    assert torch.allclose(mixed_V[4], 0.1 * own_V[4], atol=1e-6)


def test_numpy_and_pytorch_mix_alike() -> None:
    logits_V = 3 * torch.randn(500, generator=torch.Generator().manual_seed(2))
    weights = MixingWeights((-1, 0, 1, 2, 3, 4, 5), 0.3, 1.5, -0.2, -3.0, 2.0)
    for found in (Continuations(2, {5: 1}), Continuations(8, {4: 30, 499: 2, 7: 30})):
        for ends in ([], [1, 2]):
            fast_V, slow_V = logits_V.clone(), logits_V.clone()
            mixing._mix_on_cpu(fast_V, found, weights, ends)
            mixing._mix_on_device(slow_V, found, weights, ends)
            assert torch.allclose(fast_V.log_softmax(-1), slow_V.log_softmax(-1), atol=1e-4)
            assert not torch.allclose(fast_V, logits_V)


def test_a_row_without_a_known_context_keeps_its_logits() -> None:
    logits_BV = torch.randn(3, 50, generator=torch.Generator().manual_seed(3))
    before_BV = logits_BV.clone()
    assert mix(logits_BV, [None, None, None], DEFAULT_WEIGHTS) is logits_BV
    mixed_BV = mix(logits_BV, [None, Continuations(2, {1: 1}), None], always(0.5))
    assert torch.equal(mixed_BV[[0, 2]], before_BV[[0, 2]])
    assert not torch.equal(mixed_BV[1], before_BV[1])
    assert torch.equal(logits_BV, before_BV)  # what the model computed is left alone


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_half_precision_are_mixed_in_float32(dtype: torch.dtype) -> None:
    mixed_BV = mix(torch.zeros(1, 4, dtype=dtype), [Continuations(2, {1: 1})], always(0.5))
    assert torch.allclose(mixed_BV.softmax(-1), torch.tensor([[0.125, 0.625, 0.125, 0.125]]))


def test_a_token_that_must_not_come_stays_impossible(device: torch.device) -> None:
    logits_BV = torch.zeros(1, 6, device=device)
    logits_BV[0, [1, 5]] = -torch.inf
    mixed_BV = mix(logits_BV, [Continuations(3, {1: 9, 2: 1})], always(0.5), [5]).softmax(-1)
    expected = torch.tensor([[0.125, 0, 0.625, 0.125, 0.125, 0]], device=device)
    assert torch.allclose(mixed_BV, expected, atol=1e-6)
    assert torch.equal(mix(logits_BV, [Continuations(3, {1: 9})], always(0.5)), logits_BV)


def test_neither_side_alone_makes_a_token_impossible() -> None:
    for weight in (-1000.0, 1000.0):
        weights = MixingWeights((weight,) * 7, 0, 0, 0, 0, 0)
        mixed_BV = mix(torch.zeros(1, 4), [Continuations(2, {1: 1})], weights).softmax(-1)
        assert torch.isfinite(mixed_BV.log()).all()


def test_logits_that_are_no_numbers_stay_visible() -> None:
    mixed_BV = mix(torch.full((1, 4), torch.nan), [Continuations(2, {1: 1})], DEFAULT_WEIGHTS)
    assert mixed_BV.isnan().any()


def test_weights_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert read_weights(tmp_path) == DEFAULT_WEIGHTS
    (tmp_path / "model.gguf").touch()
    assert read_weights(tmp_path / "model.gguf") == DEFAULT_WEIGHTS  # a model of one file has no other files
    weights = MixingWeights((-1, 0, 1, 2, 3, 4, 5), 0.3, 1.5, -0.2, -3.0, 2.0)
    write_text(tmp_path / mixing.FILE, weights_as_json(weights, {"fitted_on": ["attrs"]}))
    assert read_weights(tmp_path) == weights
    assert MixingWeights.of_values(weights.values) == weights


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", "[" * 200_000),
        *('{"weights": {"orders": [1]}}', '{"weights": {"orders": 1}}', '{"weights": 5}'),
    ],
)
def test_other_content_is_refused_with_the_file_and_the_remedy(tmp_path: Path, content: str) -> None:
    write_text(tmp_path / mixing.FILE, content)
    with pytest.raises(IncoderError, match=r"memory\.json does not hold weights .* delete it"):
        read_weights(tmp_path)
