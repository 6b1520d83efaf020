"""GEMV on a CPU: one row or a few times a large matrix, at the speed at which it is read from memory.

Decoding reads all weights once per token. PyTorch's products are made for many rows; with one row they reach
at most half of the memory bandwidth (benchmarks/gemv.py). numba compiles this product (kernels.py, the extra
`fast`). Without numba PyTorch multiplies, which is also the reference implementation in the tests. Knows no
network.
"""

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from incoder.model import packing

MAX_ROWS = 8  # above, PyTorch's products are faster
MAX_ROWS_QUANTIZED = 32  # above, dequantizing the matrix and PyTorch's product are faster
_MIN_BYTES = 1_000_000  # of a matrix; smaller ones stay in the processor's cache
_SCALED = (torch.int8, packing.DTYPE)
_DTYPES = (torch.float32, torch.bfloat16, *_SCALED)

Gemv = Callable[[Tensor], Tensor]  # input_BI → output_BO


class Matrix(NamedTuple):
    """The memory of a linear layer as the kernels read it; a missing scale or bias is an empty array."""

    weight_OI: NDArray[Any]
    scale: NDArray[np.float32]  # of each row [O], or of each group [O, G]
    bias_O: NDArray[np.float32]


@cache
def has_kernels() -> bool:
    """Whether numba is installed, supports this numpy, and finds a folder to cache compiled kernels in."""
    try:
        importlib.import_module("incoder.model.kernels")
    except (ImportError, RuntimeError):
        return False
    return True


def as_matrix(weight_OI: Tensor, scale: Tensor | None = None, bias_O: Tensor | None = None) -> Matrix | None:
    """Return the weight's own memory for the kernels, which read it in place; None if they cannot.

    An int8 weight needs a scale for each row (float32), a packed int4 weight [O, I / 2] one for each group
    (packing.py). Other weights have none.
    """
    assert (scale is not None) == (weight_OI.dtype in _SCALED)
    if weight_OI.device.type != "cpu" or weight_OI.dtype not in _DTYPES or not weight_OI.is_contiguous():
        return None
    return Matrix(storage_of(weight_OI.detach()), as_floats(scale), as_floats(bias_O))


def storage_of(tensor: Tensor) -> NDArray[Any]:
    """Return a tensor's own memory in its storage dtype. Numpy has no bfloat16: it becomes uint16.

    >>> storage_of(torch.ones(2, dtype=torch.bfloat16)).dtype
    dtype('uint16')
    """
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(np.uint16)
    return tensor.numpy()


def as_floats(tensor: Tensor | None) -> NDArray[np.float32]:
    """Return a tensor in float32 for the kernels; an empty array for None.

    >>> as_floats(torch.ones(2, dtype=torch.bfloat16)).tolist(), as_floats(None).size
    ([1.0, 1.0], 0)
    """
    return np.empty(0, np.float32) if tensor is None else tensor.detach().float().numpy()


# Without TBB or OpenMP, numba aborts a process in which two threads run parallel kernels at once. Taking
# turns costs nothing, since kernels use all of PyTorch's threads.
_KERNELS_LOCK = threading.RLock()


@contextmanager
def threads_of_torch() -> Iterator[None]:
    """Run the kernels called in this block on as many threads as PyTorch has; other threads wait.

    Afterwards both libraries have their previous numbers of threads. numba starts its threads once in a
    process, and doing so sets OpenMP's number of threads, which PyTorch shares; it is set back at once.
    """
    import numba

    with _KERNELS_LOCK:
        num_threads = torch.get_num_threads()
        num_before = numba.get_num_threads()  # starts numba's threads if they are not running
        if torch.get_num_threads() != num_threads:
            torch.set_num_threads(num_threads)
        num_for_kernels = min(num_threads, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        if num_for_kernels == num_before:
            yield
            return
        numba.set_num_threads(num_for_kernels)
        try:
            yield
        finally:
            numba.set_num_threads(num_before)


def make_gemv(weight_OI: Tensor, scale: Tensor | None = None, bias_O: Tensor | None = None) -> Gemv | None:
    """Return the function input @ (weight * scale).T + bias for few rows; None if PyTorch is as fast.

    Sums are in float32; their order may depend on the number of rows. The function reads the weight's own
    memory.
    """
    matrix = as_matrix(weight_OI, scale, bias_O)
    if matrix is None or weight_OI.nbytes < _MIN_BYTES or not has_kernels():
        return None
    from incoder.model.kernels import multiply

    def product(input_BI: Tensor) -> Tensor:
        output_BO = torch.empty(len(input_BI), len(weight_OI))
        with threads_of_torch():
            multiply(input_BI.float().contiguous().numpy(), *matrix, output_BO.numpy())
        return output_BO.to(input_BI.dtype)

    return product
