"""GEMM on a CPU, many rows times a large matrix, by the faster of the two libraries that PyTorch has for it.

By default PyTorch multiplies float32 matrices by MKL. oneDNN, which PyTorch includes, takes 0.5 to 0.9 of
that time on processors not made by Intel (benchmarks/gemm.py). Its product is the operator that PyTorch's
compiler uses, and it reads the weight without a copy. Knows no network.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

_MIN_BYTES = 1_000_000  # of a matrix; for smaller ones oneDNN's setup costs more than it saves


def gemm(input_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias, as `F.linear`; without gradients if oneDNN multiplies.

    All dimensions of the input but the last are rows.

    >>> gemm(torch.ones(2, 3), torch.ones(4, 3)).tolist()
    [[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0]]
    """
    if not is_for_onednn(weight_OI) or input_NI.dtype != torch.float32 or torch.is_grad_enabled():
        return F.linear(input_NI, weight_OI, bias_O)
    shape, input_NI = input_NI.shape[:-1], input_NI.reshape(-1, input_NI.shape[-1])
    num_rows = len(input_NI)
    padding = _rounded_up(num_rows) - num_rows
    if padding:
        input_NI = F.pad(input_NI, (0, 0, 0, padding))
    output_NO: Tensor = torch.ops.mkldnn._linear_pointwise(input_NI, weight_OI, bias_O, "none", [], "")
    return output_NO[:num_rows].view(*shape, -1)


def _rounded_up(num_rows: int) -> int:
    """Return the number of rows, rounded up by at most an eighth from 64 on, so that few sizes occur.

    oneDNN compiles a product for each number of rows and keeps it: without rounding, a process grew by 1 to
    2 MB with every prompt of another length (benchmarks/growth.py).
    """
    step = max(8, 1 << max(0, num_rows.bit_length() - 4))
    return -(-num_rows // step) * step


def is_for_onednn(weight_OI: Tensor) -> bool:
    """Whether oneDNN can multiply by this matrix, and is expected to be faster.

    >>> is_for_onednn(torch.ones(4, 4))
    False
    """
    return (
        weight_OI.device.type == "cpu"
        and weight_OI.dtype == torch.float32
        and weight_OI.is_contiguous()
        and weight_OI.nbytes >= _MIN_BYTES
        and _has_onednn()
    )


@cache
def _has_onednn() -> bool:
    is_built: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return is_built and hasattr(torch.ops.mkldnn, "_linear_pointwise")
