import pytest
import torch

from incoder.training.muon import Muon, orthogonalized

CPU = torch.device("cpu")


def matrices(*shapes: tuple[int, int], device: torch.device = CPU) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator).to(device)) for shape in shapes]


def test_in_bfloat16_it_moves_weights_as_pytorchs_muon_does(device: torch.device) -> None:
    shapes = ((24, 8), (8, 24), (16, 16), (24, 8))
    ours, theirs = matrices(*shapes, device=device), matrices(*shapes, device=device)
    optimizers = (
        Muon(ours, lr=0.02, precision=torch.bfloat16, momentum=0.9, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.02, momentum=0.9, weight_decay=0.1),
    )
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator).to(device)
            other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-3, rtol=1e-3)  # steps of 0.02, to bfloat16's digits


@pytest.mark.parametrize("shape", [(3, 40, 10), (3, 10, 40), (1, 12, 12)])
def test_singular_values_come_near_one_and_singular_vectors_stay(shape: tuple[int, int, int]) -> None:
    matrices_NRC = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    u_NRK, _, v_NKC = torch.linalg.svd(matrices_NRC, full_matrices=False)
    result_NRC = orthogonalized(matrices_NRC, torch.float32)
    values_NKK = u_NRK.transpose(1, 2) @ result_NRC @ v_NKC.transpose(1, 2)
    diagonal_NK = values_NKK.diagonal(dim1=1, dim2=2)
    assert ((diagonal_NK > 0.5) & (diagonal_NK < 1.5)).all()
    torch.testing.assert_close(values_NKK, torch.diag_embed(diagonal_NK), atol=1e-4, rtol=0.0)


def test_a_matrix_without_a_gradient_stays_where_it_is() -> None:
    moved, still = matrices((4, 4), (4, 4))
    before = still.detach().clone()
    moved.grad = torch.ones(4, 4)
    Muon([moved, still], lr=0.1, precision=torch.float32).step()
    assert torch.equal(still, before)
    assert not torch.equal(moved, before)
