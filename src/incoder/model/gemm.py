"""Many rows times a large matrix, by the quicker of the two libraries that PyTorch has for it on a CPU.

PyTorch itself multiplies float32 by MKL. oneDNN, which comes along with it, needs half to nine tenths of the
time on a processor that is not Intel's (benchmarks/gemm.py). Its product is the operator that PyTorch's
compiler uses; it reads the weight as it is. Knows no network.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

_MIN_BYTES = 1_000_000  # of a matrix; with smaller ones preparing a product costs more than it saves


def gemm(input_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """`F.linear`, without gradients where oneDNN takes it: input @ weight.T + bias.

    The input may have more dimensions than two; all but the last count as rows.
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
    """At most an eighth more rows, from 64 on, so that few numbers of rows occur.

    oneDNN compiles a product for each number of rows and keeps it: without this a process grew by 1 to 2 MB
    with every prompt of another length.
    """
    step = max(8, 1 << max(0, num_rows.bit_length() - 4))
    return -(-num_rows // step) * step


def is_for_onednn(weight_OI: Tensor) -> bool:
    """Whether oneDNN multiplies with this matrix, and gains by it."""
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
