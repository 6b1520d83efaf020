from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional as F

from incoder.model.gemm import gemm, is_for_onednn

LARGE, SMALL = (1031, 300), (31, 30)

needs_onednn = pytest.mark.skipif(
    not is_for_onednn(torch.ones(LARGE)), reason="this PyTorch has no product of oneDNN"
)


@pytest.fixture
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.usefixtures("no_gradients")
@pytest.mark.parametrize("size", [LARGE, SMALL])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("shape", [(9,), (65,), (2, 33)])
def test_products_equal_those_in_double_precision(
    size: tuple[int, int], has_bias: bool, shape: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(0)
    weight_OI = torch.randn(size, generator=generator)
    bias_O = torch.randn(size[0], generator=generator) if has_bias else None
    hidden = torch.randn(*shape, size[1], generator=generator)
    expected = F.linear(hidden.double(), weight_OI.double(), None if bias_O is None else bias_O.double())
    output = gemm(hidden, weight_OI, bias_O)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("no_gradients")
def test_rows_need_not_lie_side_by_side() -> None:
    hidden_NI = torch.randn(9, 2 * LARGE[1], generator=torch.Generator().manual_seed(0))[:, ::2]
    weight_OI = torch.randn(LARGE, generator=torch.Generator().manual_seed(1))
    expected_NO = F.linear(hidden_NI.contiguous(), weight_OI)
    torch.testing.assert_close(gemm(hidden_NI, weight_OI), expected_NO, rtol=1e-4, atol=1e-4)


@needs_onednn
@pytest.mark.usefixtures("no_gradients")
def test_infinities_and_nans_come_through() -> None:
    weight_OI = torch.ones(LARGE)
    weight_OI[0, 0], weight_OI[1, 0] = torch.inf, torch.nan
    output_NO = gemm(torch.ones(9, LARGE[1]), weight_OI)
    assert torch.isinf(output_NO[:, 0]).all()
    assert output_NO[:, 1].isnan().all()
    assert (output_NO[:, 2:] == LARGE[1]).all()


@needs_onednn
@pytest.mark.parametrize(
    "weight_OI",
    [
        torch.ones(SMALL),
        torch.ones(LARGE, dtype=torch.bfloat16),
        torch.ones(LARGE).t(),
        torch.ones(LARGE, device="meta"),
    ],
    ids=["small", "bfloat16", "turned", "elsewhere"],
)
def test_other_matrices_are_left_to_pytorch(weight_OI: torch.Tensor) -> None:
    assert not is_for_onednn(weight_OI)


def test_with_gradients_pytorch_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incoder.model.gemm._has_onednn", lambda: True)
    weight_OI = torch.ones(LARGE, requires_grad=True)
    torch.autograd.backward(gemm(torch.ones(9, LARGE[1]), weight_OI).sum())
    assert weight_OI.grad is not None
    assert (weight_OI.grad == 9).all()


@pytest.mark.slow
@needs_onednn
@pytest.mark.usefixtures("no_gradients")
def test_products_of_any_number_of_rows_ask_onednn_for_few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps what it compiles for each size; a process would grow with every new length of a prompt."""
    sizes, weight_OI, multiply = set[int](), torch.ones(LARGE), torch.ops.mkldnn._linear_pointwise

    def noted(input_NI: torch.Tensor, *arguments: object) -> torch.Tensor:
        sizes.add(len(input_NI))
        return multiply(input_NI, *arguments)  # type: ignore[no-any-return]

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", noted)
    for num_rows in range(1, 513):
        output_NO = gemm(torch.full((num_rows, LARGE[1]), float(num_rows)), weight_OI)
        assert output_NO.shape == (num_rows, LARGE[0])
        assert output_NO[-1, -1] == num_rows * LARGE[1]
    assert len(sizes) <= 32
