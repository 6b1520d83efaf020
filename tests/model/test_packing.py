import pytest
import torch

from incoder.model.gemv import MAX_ROWS, make_gemv
from incoder.model.packing import GROUP_SIZE, PACKED_STEP, can_pack, pack, unpack


def random_matrix(num_rows: int, num_columns: int) -> torch.Tensor:
    return torch.randn(num_rows, num_columns, generator=torch.Generator().manual_seed(0))


def test_packed_numbers_take_half_a_byte_and_a_scale_for_each_group() -> None:
    packed_OP, scale_OG = pack(random_matrix(3, 256))
    assert packed_OP.dtype == torch.uint8
    assert packed_OP.shape == (3, 128)
    assert scale_OG.shape == (3, 256 // GROUP_SIZE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_four_bits_can_say_comes_back_as_it_was(dtype: torch.dtype) -> None:
    numbers = torch.randint(-8, 8, (5, 3 * PACKED_STEP), generator=torch.Generator().manual_seed(0))
    numbers[:, ::GROUP_SIZE] = -8  # the end that the four bits reach, in each group
    weight_OI = numbers.to(dtype) * torch.tensor([0.25, -0.25, 2.0, -4.0, 1.0], dtype=dtype)[:, None]
    torch.testing.assert_close(unpack(*pack(weight_OI), dtype), weight_OI, rtol=0, atol=0)


def test_no_number_is_off_by_more_than_a_step_of_its_group_and_the_farthest_is_kept() -> None:
    weight_OI = random_matrix(20, PACKED_STEP)
    weight_OI[3] *= 1000
    packed_OP, scale_OG = pack(weight_OI)
    groups, unpacked = (
        matrix.view(20, -1, GROUP_SIZE) for matrix in (weight_OI, unpack(packed_OP, scale_OG, torch.float32))
    )
    # Only one end reaches eight sixteenths, the other one seven, so what lies near that loses up to a step.
    assert ((groups - unpacked).abs() <= scale_OG.abs()[:, :, None] / 16 * 1.001).all()
    farthest = groups.abs().argmax(dim=2, keepdim=True)
    torch.testing.assert_close(unpacked.gather(2, farthest), groups.gather(2, farthest))


def test_groups_of_zeros_stay_zeros() -> None:
    weight_OI = random_matrix(2, PACKED_STEP)
    weight_OI[:, :GROUP_SIZE] = 0
    unpacked_OI = unpack(*pack(weight_OI), torch.float32)
    assert not unpacked_OI[:, :GROUP_SIZE].any()
    assert unpacked_OI[:, GROUP_SIZE:].any()


def test_rows_that_are_no_whole_steps_are_not_packed() -> None:
    assert can_pack(random_matrix(1, 2 * PACKED_STEP))
    assert not can_pack(random_matrix(1, PACKED_STEP + GROUP_SIZE))


@pytest.mark.parametrize("num_rows", [1, 2, 7, MAX_ROWS, 23])  # 7: four, two and one
@pytest.mark.parametrize("size", [(1031, 2 * 1024), (261, 8 * 1024)])
def test_products_with_packed_numbers_equal_those_with_the_unpacked(
    size: tuple[int, int], num_rows: int
) -> None:
    pytest.importorskip("numba")
    packed_OP, scale_OG = pack(random_matrix(*size))
    bias_O = torch.randn(size[0], generator=torch.Generator().manual_seed(1))
    input_BI = torch.randn(num_rows, size[1], generator=torch.Generator().manual_seed(2))
    product = make_gemv(packed_OP, scale_OG, bias_O)
    assert product is not None
    expected_BO = input_BI.double() @ unpack(packed_OP, scale_OG, torch.float64).T + bias_O
    torch.testing.assert_close(product(input_BI).double(), expected_BO, rtol=1e-4, atol=1e-3)
