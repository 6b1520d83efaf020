"""A few rows times a large matrix, at the speed at which a CPU reads the matrix.

Generating is reading all weights once for each token. PyTorch's products are made for many rows; with one
they reach half of the read bandwidth or less. Here each row of the matrix is read once for all input rows,
on all threads, and four rows meet four inputs at a time, so that a number is used more often than loaded.
Compiled by numba at first use; without numba (the extra `fast`) there is nothing here to use and PyTorch's
products remain, which also are the slow twin in the tests. Knows no network.
"""

import importlib.util
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

MAX_ROWS = 8  # from about here on PyTorch's products are faster
_MIN_BYTES = 1_000_000  # of a matrix; smaller ones stay in the processor's cache
_DTYPES = (torch.float32, torch.bfloat16, torch.int8)

_threads = threading.local()  # numba counts for each thread of Python how many it may start

RowProduct = Callable[[Tensor], Tensor]  # input_BI to output_BO, B at most MAX_ROWS


def row_product(weight_OI: Tensor, scale_O: Tensor | None = None) -> RowProduct | None:
    """The function input @ (weight * scale).T for up to `MAX_ROWS` rows; None where it would gain nothing.

    The sums are taken in float32, in an order that the number of rows may change. An int8 weight needs a
    scale (float32), others have none. The function reads the weight's own memory.
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
    multiply = _kernel(weight.dtype)
    num_outputs = len(weight)
    scale = np.ones(num_outputs, np.float32) if scale_O is None else scale_O.detach().float().numpy()

    import numba

    max_threads: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined] # set as it is imported

    def product(input_BI: Tensor) -> Tensor:
        # Theirs are the same threads of OpenMP: a product sets how many PyTorch has from then on.
        num_threads = min(torch.get_num_threads(), max_threads)
        if getattr(_threads, "num_set", None) != num_threads:
            numba.set_num_threads(num_threads)
            _threads.num_set = num_threads
        output_BO = torch.empty(len(input_BI), num_outputs)
        multiply(input_BI.float().contiguous().numpy(), matrix, scale, output_BO.numpy())
        return output_BO.to(input_BI.dtype)

    return product


@cache
def _kernel(dtype: torch.dtype) -> Callable[..., None]:
    """The product for one kind of weight; they differ in what is done to a number after it is read."""
    import numba

    inlined = numba.njit(inline="always")
    # Without leave to reorder the sums nothing is vectorised; the rest of "fast math" would change NaNs.
    fast_math = {"reassoc", "contract"}

    if dtype == torch.bfloat16:

        @inlined
        def number(weight):  # type: ignore[no-untyped-def]
            """The upper half of a float32."""
            return np.uint32(np.uint32(weight) << np.uint32(16)).view(np.float32)
    else:

        @inlined
        def number(weight):  # type: ignore[no-untyped-def]
            return np.float32(weight)

    @numba.njit(fastmath=fast_math, boundscheck=False)
    def four_by_four(input_4I, weight_4I, output_44):  # type: ignore[no-untyped-def]
        x0, x1, x2, x3 = input_4I[0], input_4I[1], input_4I[2], input_4I[3]
        w0, w1, w2, w3 = weight_4I[0], weight_4I[1], weight_4I[2], weight_4I[3]
        s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = np.float32(0.0)
        s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = np.float32(0.0)
        for i in range(w0.shape[0]):
            a0, a1, a2, a3 = x0[i], x1[i], x2[i], x3[i]
            b0, b1, b2, b3 = number(w0[i]), number(w1[i]), number(w2[i]), number(w3[i])
            s00, s01, s02, s03 = s00 + a0 * b0, s01 + a0 * b1, s02 + a0 * b2, s03 + a0 * b3
            s10, s11, s12, s13 = s10 + a1 * b0, s11 + a1 * b1, s12 + a1 * b2, s13 + a1 * b3
            s20, s21, s22, s23 = s20 + a2 * b0, s21 + a2 * b1, s22 + a2 * b2, s23 + a2 * b3
            s30, s31, s32, s33 = s30 + a3 * b0, s31 + a3 * b1, s32 + a3 * b2, s33 + a3 * b3
        output_44[0, 0], output_44[0, 1], output_44[0, 2], output_44[0, 3] = s00, s01, s02, s03
        output_44[1, 0], output_44[1, 1], output_44[1, 2], output_44[1, 3] = s10, s11, s12, s13
        output_44[2, 0], output_44[2, 1], output_44[2, 2], output_44[2, 3] = s20, s21, s22, s23
        output_44[3, 0], output_44[3, 1], output_44[3, 2], output_44[3, 3] = s30, s31, s32, s33

    @numba.njit(fastmath=fast_math, boundscheck=False)
    def one_by_one(x, w):  # type: ignore[no-untyped-def]
        total = np.float32(0.0)
        for i in range(w.shape[0]):
            total += x[i] * number(w[i])
        return total

    @numba.njit(parallel=True, boundscheck=False, cache=True)
    def multiply(input_BI, weight_OI, scale_O, output_BO):  # type: ignore[no-untyped-def]
        num_inputs, num_outputs = output_BO.shape
        for block in numba.prange(num_outputs // 4):
            o = 4 * block
            b = 0
            while b + 4 <= num_inputs:
                four_by_four(input_BI[b : b + 4], weight_OI[o : o + 4], output_BO[b : b + 4, o : o + 4])
                b += 4
            while b < num_inputs:
                for k in range(o, o + 4):
                    output_BO[b, k] = one_by_one(input_BI[b], weight_OI[k])
                b += 1
            for k in range(o, o + 4):
                for b in range(num_inputs):
                    output_BO[b, k] *= scale_O[k]
        for o in range(num_outputs - num_outputs % 4, num_outputs):
            for b in range(num_inputs):
                output_BO[b, o] = one_by_one(input_BI[b], weight_OI[o]) * scale_O[o]

    function: Callable[..., None] = multiply
    return function
