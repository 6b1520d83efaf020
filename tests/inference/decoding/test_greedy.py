"""Greedy choice by Triton against its reference implementation, on CUDA or in Triton's interpreter."""

import importlib
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from incoder.inference.decoding.greedy import choose_greedy, greedy_by_torch, greedy_by_triton

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True, scope="module")
def kernels() -> Iterator[None]:
    """Where there is no CUDA device, Triton reads this when the kernels are first imported."""
    with pytest.MonkeyPatch.context() as patch:
        if DEVICE.type == "cpu":
            patch.setenv("TRITON_INTERPRET", "1")
        try:
            importlib.import_module("incoder.inference.decoding.greedy_kernels")
        except ImportError:
            pytest.skip("needs Triton, which comes with PyTorch for CUDA")
        yield


def random_logits(num_rows: int, vocab_size: int) -> Tensor:
    """As a network in bfloat16 gives them: many are equal."""
    stream = torch.Generator().manual_seed(vocab_size)
    logits_BV = 5 * torch.randn(num_rows, vocab_size, generator=stream)
    return logits_BV.bfloat16().float().to(DEVICE)


def forbidding(vocab_size: int, *token_ids: int) -> Tensor:
    bias_V = torch.zeros(vocab_size)
    bias_V[list(token_ids)] = -torch.inf
    return bias_V.to(DEVICE)


def assert_agrees_with_reference(logits_BV: Tensor, bias_V: Tensor) -> None:
    fast_3B, slow_3B = greedy_by_triton(logits_BV, bias_V), greedy_by_torch(logits_BV, bias_V)
    assert fast_3B[0].tolist() == slow_3B[0].tolist()
    torch.testing.assert_close(fast_3B, slow_3B, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("vocab_size", [61, 2048, 2049, 5000, 50_518])
@pytest.mark.parametrize("num_rows", [1, 3])
def test_token_logprob_and_sum_equal_the_reference_implementation(num_rows: int, vocab_size: int) -> None:
    assert_agrees_with_reference(random_logits(num_rows, vocab_size), forbidding(vocab_size))


def test_of_equal_logits_the_first_is_taken_across_and_within_parts() -> None:
    for places in [(3, 9), (7, 2100), (2047, 2048, 4999)]:
        logits_BV = random_logits(2, 5000)
        logits_BV[:, list(places)] = 50.0
        assert_agrees_with_reference(logits_BV, forbidding(5000))
        assert greedy_by_triton(logits_BV, forbidding(5000))[0].tolist() == [places[0]] * 2


def test_a_forbidden_token_is_not_taken_and_counts_in_the_sum() -> None:
    logits_BV = random_logits(2, 5000)
    logits_BV[0, 4321], logits_BV[1, 0] = 40.0, 30.0
    bias_V = forbidding(5000, 0, 4321, *range(2048, 4096))
    assert_agrees_with_reference(logits_BV, bias_V)
    result_3B = greedy_by_triton(logits_BV, bias_V)
    assert result_3B[2].tolist() == pytest.approx([40.0, 30.0], abs=1e-4)
    assert (result_3B[1] < -5).all()


def test_logits_of_minus_infinity_count_for_nothing() -> None:
    logits_BV = random_logits(2, 5000)
    logits_BV[0, 2000:] = -torch.inf
    logits_BV[1, :4500] = -torch.inf
    assert_agrees_with_reference(logits_BV, forbidding(5000))


def test_great_logits_do_not_overflow() -> None:
    assert_agrees_with_reference(1000 * random_logits(2, 5000), forbidding(5000))


@pytest.mark.parametrize("logit", [torch.nan, torch.inf])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the interpreter
def test_a_logit_that_is_no_number_makes_the_sum_of_its_row_none(logit: float) -> None:
    logits_BV = random_logits(3, 5000)
    logits_BV[1, 3000] = logit
    for row in range(3):
        log_sum = greedy_by_triton(logits_BV, forbidding(5000))[2, row]
        assert bool(log_sum.isfinite()) == (row != 1)
    logits_BV[:] = logit
    assert not greedy_by_triton(logits_BV, forbidding(5000))[2].isfinite().any()


def test_rows_that_are_the_same_memory_are_chosen_alike() -> None:
    logits_BV = random_logits(1, 5000).expand(3, -1)
    assert_agrees_with_reference(logits_BV, forbidding(5000))
    assert choose_greedy(logits_BV, forbidding(5000)).shape == (3, 3)
