"""GEMV, one row times a large matrix: the share of the read bandwidth, ours beside `torch.mm`.

Each product reads another matrix, because a model's matrices do not fit into a processor's cache. The limit
is the bandwidth of a sum over the same memory. All take turns within one run.

    python benchmarks/gemv.py --outputs 8192 --inputs 2048
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from incoder.model.gemv import Gemv, make_gemv
from incoder.model.quantization import Stored, packed_rows, quantized_rows

STORAGE: dict[str, Callable[[torch.Tensor], Stored]] = {
    "float32": lambda weight: (weight, None),
    "bfloat16": lambda weight: (weight.bfloat16(), None),
    "int8": quantized_rows,
    "int4": packed_rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outputs", type=int, default=8192)
    parser.add_argument("--inputs", type=int, default=2048)
    parser.add_argument("--matrices", type=int, default=16)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()

    input_BI = torch.randn(arguments.rows, arguments.inputs)
    float_weights = [torch.randn(arguments.outputs, arguments.inputs) for _ in range(arguments.matrices)]
    limit = _bandwidths({"sum": [_sum(weight) for weight in float_weights]}, float_weights, arguments.rounds)
    print(f"{'reading':>20}: {limit['sum']:5.1f} GB/s")
    for name, store in STORAGE.items():
        stored = [store(weight) for weight in float_weights]
        products = {"ours": [_bound(make_gemv(weight, scale), input_BI) for weight, scale in stored]}
        if stored[0][1] is None:
            products["torch"] = [_torch_product(weight, input_BI) for weight, _ in stored]
        tensors = [tensor for pair in stored for tensor in pair if tensor is not None]
        for who, speed in _bandwidths(products, tensors, arguments.rounds).items():
            print(f"{name + ', ' + who:>20}: {speed:5.1f} GB/s, {speed / limit['sum']:.0%} of reading")


def _sum(weight: torch.Tensor) -> Callable[[], object]:
    return weight.sum


def _bound(product: Gemv | None, input_BI: torch.Tensor) -> Callable[[], object]:
    assert product is not None, "numba is missing, or the matrices are too small"
    return lambda: product(input_BI)


def _torch_product(weight: torch.Tensor, input_BI: torch.Tensor) -> Callable[[], object]:
    input_BI = input_BI.to(weight.dtype)
    return lambda: torch.mm(input_BI, weight.T)


def _bandwidths(
    contestants: dict[str, list[Callable[[], object]]], weights: list[torch.Tensor], rounds: int
) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_number in range(rounds + 1):
        for name, calls in contestants.items():
            started = time.perf_counter()
            for call in calls:
                call()
            if round_number:  # the first one warms up
                seconds[name].append(time.perf_counter() - started)
    num_bytes = sum(weight.nbytes for weight in weights)
    return {name: num_bytes / statistics.median(values) / 1e9 for name, values in seconds.items()}


if __name__ == "__main__":
    main()
