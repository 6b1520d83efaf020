"""A few rows times a large matrix, at the speed at which a CPU reads the matrix.

Generating is reading all weights once for each token. PyTorch's products are made for many rows; with one
they reach half of the read bandwidth or less. The product is compiled by numba (kernels.py); without it
(the extra `fast`) there is nothing here to use and PyTorch's products remain, which also are the slow twin in
the tests. Knows no network.
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

MAX_ROWS = 8  # from about here on PyTorch's products are faster
MAX_ROWS_QUANTIZED = 32  # the same, where a matrix would have to be widened for PyTorch first
_MIN_BYTES = 1_000_000  # of a matrix; smaller ones stay in the processor's cache
_SCALED = (torch.int8, packing.DTYPE)
_DTYPES = (torch.float32, torch.bfloat16, *_SCALED)

Gemv = Callable[[Tensor], Tensor]  # input_BI to output_BO


class Matrix(NamedTuple):
    """Memory of a linear layer as the kernels read it; scale and bias are empty where there is none."""

    weight_OI: NDArray[Any]
    scale: NDArray[np.float32]  # of the rows [O], or of groups in them [O, G]
    bias_O: NDArray[np.float32]


@cache
def has_kernels() -> bool:
    """Whether numba is there, goes with this numpy, and finds a folder to keep what it compiles."""
    try:
        importlib.import_module("incoder.model.kernels")
    except (ImportError, RuntimeError):
        return False
    return True


def as_matrix(weight_OI: Tensor, scale: Tensor | None = None, bias_O: Tensor | None = None) -> Matrix | None:
    """The weight's own memory, which the kernels read in place; None where they cannot.

    A weight in int8 needs the scales of its rows (float32), a packed one [O, I / 2] those of its groups
    (packing.py); others have none.
    """
    assert (scale is not None) == (weight_OI.dtype in _SCALED)
    if weight_OI.device.type != "cpu" or weight_OI.dtype not in _DTYPES or not weight_OI.is_contiguous():
        return None
    return Matrix(storage_of(weight_OI.detach()), as_floats(scale), as_floats(bias_O))


def storage_of(tensor: Tensor) -> NDArray[Any]:
    """A tensor's own memory as the kernels read it: bfloat16, which numpy does not know, as uint16."""
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(np.uint16)
    return tensor.numpy()


def as_floats(tensor: Tensor | None) -> NDArray[np.float32]:
    """Numbers as the kernels read them: float32, an empty vector for none."""
    return np.empty(0, np.float32) if tensor is None else tensor.detach().float().numpy()


# numba ends a process in which two threads run parallel kernels at once, unless it was installed with TBB or
# OpenMP. Kernels use all of PyTorch's threads anyway, so nothing is lost by turns.
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
    """The function input @ (weight * scale).T + bias for few rows; None if that gains nothing.

    The sums are taken in float32, in an order that the number of rows may change. The function reads the
    weight's own memory.
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
