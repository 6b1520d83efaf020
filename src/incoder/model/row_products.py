"""A few rows times a large matrix, at the speed at which a CPU reads the matrix.

Generating is reading all weights once for each token. PyTorch's products are made for many rows; with one
they reach half of the read bandwidth or less. Here each row of the matrix is read once for all input rows,
on all threads. Compiled by numba at first use; without numba (the extra `fast`) there is nothing here to use
and PyTorch's products remain, which also are the slow twin in the tests. Knows no network.
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

MAX_ROWS = 8  # from about here on PyTorch's products are faster
_MIN_BYTES = 1_000_000  # of a matrix; smaller ones stay in the processor's cache
_DTYPES = (torch.float32, torch.bfloat16, torch.int8)

RowProduct = Callable[[Tensor], Tensor]  # input_BI to output_BO, B at most MAX_ROWS


def row_product(weight_OI: Tensor, scale_O: Tensor | None = None) -> RowProduct | None:
    """The function input @ (weight * scale).T for up to `MAX_ROWS` rows; None where it would gain nothing.

    A row's result does not depend on the others. The sums are taken in float32. An int8 weight needs a scale
    (float32), others have none. The function reads the weight's own memory.
    """
    assert (scale_O is not None) == (weight_OI.dtype == torch.int8)
    if (
        weight_OI.device.type != "cpu"
        or weight_OI.dtype not in _DTYPES
        or weight_OI.nbytes < _MIN_BYTES
        or not weight_OI.is_contiguous()
        or importlib.util.find_spec("numba") is None
    ):
        return None
    weight = weight_OI.detach()
    matrix: np.ndarray[Any, Any] = (
        weight.view(torch.int16).numpy().view(np.uint16) if weight.dtype == torch.bfloat16 else weight.numpy()
    )
    kernel = _kernels()[weight.dtype]
    scale = None if scale_O is None else scale_O.detach().float().contiguous().numpy()
    num_outputs = len(weight)

    def product(input_BI: Tensor) -> Tensor:
        output_BO = torch.empty(len(input_BI), num_outputs)
        arguments = (input_BI.float().contiguous().numpy(), matrix, output_BO.numpy())
        kernel(*arguments) if scale is None else kernel(*arguments, scale)
        return output_BO.to(input_BI.dtype)

    return product


@cache
def _kernels() -> dict[torch.dtype, Callable[..., None]]:
    """One for each kind of weight; they differ in what is done to a number after it is read."""
    import numba

    # Without leave to reorder the sums nothing is vectorised; the rest of "fast math" would change NaNs.
    compiled = numba.njit(parallel=True, fastmath={"reassoc", "contract"}, boundscheck=False, cache=True)

    @compiled
    def float32(input_BI, weight_OI, output_BO):  # type: ignore[no-untyped-def]
        for o in numba.prange(weight_OI.shape[0]):
            for b in range(input_BI.shape[0]):
                total = np.float32(0.0)
                for i in range(weight_OI.shape[1]):
                    total += weight_OI[o, i] * input_BI[b, i]
                output_BO[b, o] = total

    @compiled
    def bfloat16(input_BI, weight_OI, output_BO):  # type: ignore[no-untyped-def]
        for o in numba.prange(weight_OI.shape[0]):
            for b in range(input_BI.shape[0]):
                total = np.float32(0.0)
                for i in range(weight_OI.shape[1]):
                    # The upper half of a float32.
                    bits = np.uint32(np.uint32(weight_OI[o, i]) << np.uint32(16))
                    total += bits.view(np.float32) * input_BI[b, i]
                output_BO[b, o] = total

    @compiled
    def int8(input_BI, weight_OI, output_BO, scale_O):  # type: ignore[no-untyped-def]
        for o in numba.prange(weight_OI.shape[0]):
            for b in range(input_BI.shape[0]):
                total = np.float32(0.0)
                for i in range(weight_OI.shape[1]):
                    total += np.float32(weight_OI[o, i]) * input_BI[b, i]
                output_BO[b, o] = total * scale_O[o]

    return {torch.float32: float32, torch.bfloat16: bfloat16, torch.int8: int8}
