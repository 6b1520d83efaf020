import pytest
import torch
import torch.nn.functional as F

from incoder.objective.loss import chunked_cross_entropy


def example(
    num_positions: int = 37, ignored_every: int = 3
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden_ND = torch.randn(num_positions, 12, generator=generator).requires_grad_()
    weight_VD = torch.randn(50, 12, generator=generator).requires_grad_()
    targets_N = torch.randint(0, 50, (num_positions,), generator=generator)
    targets_N[::ignored_every] = -100
    return hidden_ND, weight_VD, targets_N


def gradients(loss: torch.Tensor, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(loss, inputs)


@pytest.mark.parametrize("chunk_size", [1, 7, 24, 25, 1000])
def test_value_and_gradients_equal_cross_entropy(chunk_size: int) -> None:
    hidden_ND, weight_VD, targets_N = example()
    loss_sum, num_targets = chunked_cross_entropy(hidden_ND, weight_VD, targets_N, chunk_size=chunk_size)
    expected = F.cross_entropy(hidden_ND @ weight_VD.T, targets_N)
    loss = loss_sum / num_targets
    assert num_targets == (targets_N != -100).sum()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    ours, theirs = (gradients(value, hidden_ND, weight_VD) for value in (loss, expected))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_large_logits_are_exact_as_well() -> None:
    hidden_ND, weight_VD, targets_N = example()
    hidden_ND = (hidden_ND.detach() * 100).requires_grad_()
    loss, _ = chunked_cross_entropy(hidden_ND, weight_VD, targets_N)
    expected = F.cross_entropy(hidden_ND @ weight_VD.T, targets_N, reduction="sum")
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0.0)
    assert all(gradient.isfinite().all() for gradient in gradients(loss, hidden_ND, weight_VD))


def test_a_tied_embedding_gets_both_gradients() -> None:
    _, weight_VD, targets_N = example()
    token_ids_N = torch.arange(37)
    loss, _ = chunked_cross_entropy(F.embedding(token_ids_N, weight_VD), weight_VD, targets_N)
    logits_NV = F.embedding(token_ids_N, weight_VD) @ weight_VD.T
    expected = F.cross_entropy(logits_NV, targets_N, reduction="sum")
    torch.testing.assert_close(gradients(loss, weight_VD), gradients(expected, weight_VD))


def test_frozen_rows_get_no_gradient_and_change_nothing_else() -> None:
    hidden_ND, weight_VD, targets_N = example()
    frozen = torch.tensor([3, 49])
    plain, _ = chunked_cross_entropy(hidden_ND, weight_VD, targets_N, chunk_size=7)
    loss, _ = chunked_cross_entropy(hidden_ND, weight_VD, targets_N, frozen_rows=frozen, chunk_size=7)
    expected_hidden, expected_weight = gradients(plain, hidden_ND, weight_VD)
    assert expected_weight[frozen].any(dim=1).all()
    expected_weight[frozen] = 0.0
    assert float(loss.detach()) == float(plain.detach())
    torch.testing.assert_close(gradients(loss, hidden_ND, weight_VD), (expected_hidden, expected_weight))


@pytest.mark.parametrize("num_positions", [0, 5])
def test_without_targets_the_loss_and_its_gradients_are_zero(num_positions: int) -> None:
    hidden_ND, weight_VD, targets_N = example(num_positions, ignored_every=1)
    loss, num_targets = chunked_cross_entropy(hidden_ND, weight_VD, targets_N)
    assert (float(loss.detach()), int(num_targets)) == (0.0, 0)
    assert all(not gradient.any() for gradient in gradients(loss, hidden_ND, weight_VD))


def test_autocast_multiplies_in_bfloat16_and_keeps_the_weights_gradient_in_float32() -> None:
    hidden_ND, weight_VD, targets_N = example()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = chunked_cross_entropy(hidden_ND, weight_VD, targets_N, chunk_size=7)
        expected = F.cross_entropy(hidden_ND @ weight_VD.T, targets_N, reduction="sum")
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected.float(), rtol=1e-3, atol=0.0)
    ours, theirs = (gradients(value, hidden_ND, weight_VD) for value in (loss, expected))
    assert [gradient.dtype for gradient in ours] == [torch.float32, torch.float32]
    for gradient, other in zip(ours, theirs, strict=True):
        assert (gradient - other).norm() / other.norm() < 0.01


def test_a_model_in_bfloat16_gets_bfloat16_gradients() -> None:
    hidden_ND, weight_VD, targets_N = example()
    hidden_ND, weight_VD = (tensor.detach().bfloat16().requires_grad_() for tensor in (hidden_ND, weight_VD))
    loss, _ = chunked_cross_entropy(hidden_ND, weight_VD, targets_N)
    assert {gradient.dtype for gradient in gradients(loss, hidden_ND, weight_VD)} == {torch.bfloat16}


def test_without_gradients_the_value_is_the_same() -> None:
    hidden_ND, weight_VD, targets_N = example()
    with torch.no_grad():
        loss, _ = chunked_cross_entropy(hidden_ND, weight_VD, targets_N)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, chunked_cross_entropy(hidden_ND, weight_VD, targets_N)[0].detach())


def test_only_what_wants_a_gradient_gets_one() -> None:
    hidden_ND, weight_VD, targets_N = example()
    loss, _ = chunked_cross_entropy(hidden_ND, weight_VD.detach(), targets_N)
    expected = F.cross_entropy(hidden_ND @ weight_VD.detach().T, targets_N, reduction="sum")
    torch.testing.assert_close(gradients(loss, hidden_ND), gradients(expected, hidden_ND))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_the_cpu() -> None:
    hidden_ND, weight_VD, targets_N = example()
    loss, _ = chunked_cross_entropy(hidden_ND, weight_VD, targets_N)
    expected = (loss, *gradients(loss, hidden_ND, weight_VD))
    hidden_ND, weight_VD = (tensor.detach().cuda().requires_grad_() for tensor in (hidden_ND, weight_VD))
    loss, _ = chunked_cross_entropy(hidden_ND, weight_VD, targets_N.cuda())
    for ours, other in zip((loss, *gradients(loss, hidden_ND, weight_VD)), expected, strict=True):
        torch.testing.assert_close(ours.cpu(), other, rtol=1e-4, atol=1e-4)


def test_a_frozen_output_weight_gets_no_gradient_and_the_hidden_states_the_same() -> None:
    generator = torch.Generator().manual_seed(4)
    weight_VD = torch.randn(30, 8, generator=generator)
    hidden_ND = torch.randn(12, 8, generator=generator, requires_grad=True)
    targets_N = torch.randint(0, 30, (12,), generator=generator)
    loss, _ = chunked_cross_entropy(hidden_ND, weight_VD, targets_N, chunk_size=5)
    (gradient,) = torch.autograd.grad(loss, hidden_ND)
    expected = F.cross_entropy(hidden_ND @ weight_VD.T, targets_N, reduction="sum")
    (expected_gradient,) = torch.autograd.grad(expected, hidden_ND)
    torch.testing.assert_close(gradient, expected_gradient)
    assert weight_VD.grad is None
