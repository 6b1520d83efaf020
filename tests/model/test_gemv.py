import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from incoder.model.gemv import MAX_ROWS, make_gemv, threads_of_torch

pytest.importorskip("numba")

SIZE = (1031, 1100)  # neither is a multiple of a vector's width
LONG = (259, 5001)  # of such rows those of less than float32 are read one after the other


def matrix(dtype: torch.dtype, generator: torch.Generator, size: tuple[int, int] = SIZE) -> torch.Tensor:
    if dtype == torch.int8:
        return torch.randint(-127, 128, size, generator=generator, dtype=torch.int8)
    return torch.randn(size, generator=generator).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
@pytest.mark.parametrize(
    ("size", "num_rows"),
    [*itertools.product((SIZE, LONG), (1, 2, 3, 7, MAX_ROWS)), (SIZE, 23)],  # 7: four, two and one
)
def test_products_equal_those_in_double_precision(
    size: tuple[int, int], dtype: torch.dtype, num_rows: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    weight_OI = matrix(dtype, generator, size)
    scale_O = torch.rand(size[0], generator=generator) if dtype == torch.int8 else None
    input_BI = torch.randn(num_rows, size[1], generator=generator)
    product = make_gemv(weight_OI, scale_O)
    assert product is not None
    expected_BO = input_BI.double() @ weight_OI.double().T
    if scale_O is not None:
        expected_BO *= scale_O
    torch.testing.assert_close(product(input_BI).double(), expected_BO, rtol=1e-4, atol=2e-3)


def test_the_output_has_the_inputs_precision() -> None:
    weight_OI = matrix(torch.bfloat16, torch.Generator().manual_seed(0))
    product = make_gemv(weight_OI)
    assert product is not None
    input_BI = torch.randn(1, SIZE[1], generator=torch.Generator().manual_seed(1)).bfloat16()
    output_BO = product(input_BI)
    assert output_BO.dtype == torch.bfloat16
    torch.testing.assert_close(output_BO, (input_BI.double() @ weight_OI.double().T).bfloat16())


def test_infinities_and_nans_come_through() -> None:
    weight_OI = torch.ones(SIZE)
    weight_OI[0, 0], weight_OI[1, 0] = torch.inf, torch.nan
    product = make_gemv(weight_OI)
    assert product is not None
    output_O = product(torch.ones(1, SIZE[1]))[0]
    assert output_O[0] == torch.inf
    assert output_O[1].isnan()
    assert output_O[2] == SIZE[1]


@pytest.mark.parametrize("weight_OI", [torch.ones(8, 8), torch.ones(1024, 1024, dtype=torch.float64)])
def test_small_matrices_and_other_precisions_are_left_to_pytorch(weight_OI: torch.Tensor) -> None:
    assert make_gemv(weight_OI) is None


@pytest.mark.parametrize("num_threads", [1, 2])
def test_pytorch_keeps_as_many_threads_as_it_was_given(num_threads: int) -> None:
    product = make_gemv(torch.ones(SIZE))
    assert product is not None
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(num_threads)
        product(torch.ones(1, SIZE[1]))
        assert torch.get_num_threads() == num_threads
    finally:
        torch.set_num_threads(before)


def test_threads_take_turns_to_run_kernels() -> None:
    """Without OpenMP and TBB, numba aborts a process in which two threads run kernels at once."""
    product = make_gemv(torch.ones(SIZE))
    assert product is not None
    other = threading.Thread(target=product, args=(torch.ones(1, SIZE[1]),))
    with threads_of_torch():
        other.start()
        other.join(0.2)
        assert other.is_alive()
    other.join(60)
    assert not other.is_alive()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux lists them")
@pytest.mark.parametrize("how", ["OMP_NUM_THREADS", "torch.set_num_threads"])
def test_products_run_on_as_many_threads_as_pytorch_has_and_leave_that_number(how: str) -> None:
    """In a process of its own, since numba starts its threads once, with the first product."""
    program = f"""
import numba, numpy, os, torch
from incoder.model.gemv import make_gemv
if {how!r} == "torch.set_num_threads": torch.set_num_threads(1)
product, num_running = make_gemv(torch.ones({SIZE})), len(os.listdir("/proc/self/task"))
product(torch.ones(1, {SIZE[1]}))
print(torch.get_num_threads(), len(os.listdir("/proc/self/task")) - num_running, numba.get_num_threads())
"""
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    if how == "OMP_NUM_THREADS":
        environment[how] = "1"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "0", "2"]
