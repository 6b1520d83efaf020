"""GEMM in float32, many rows times a large matrix as in prefill: oneDNN beside PyTorch's default product.

The matrices of one layer of a size, in turns within one run, medians.

    python benchmarks/gemm.py --size 1.3b --rows 512
"""

import argparse
from collections.abc import Callable, Sequence

import torch
from measuring.turns import Work, median_seconds
from torch import Tensor
from torch.nn import functional as F

from incoder.model.gemm import gemm, is_for_onednn
from incoder.model.sizes import config_for
from incoder.model.transformer import Block

Product = Callable[[Tensor, Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="1.3b")
    parser.add_argument("--shape", default="xglm", choices=("xglm", "llama"))
    parser.add_argument("--rows", type=int, nargs="+", default=[9, 16, 64, 512])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()

    block = Block(config_for(arguments.size, arguments.shape, vocab_size=1))
    weights = [parameter.detach() for parameter in block.parameters() if parameter.ndim == 2]
    assert all(map(is_for_onednn, weights)), "this PyTorch has no oneDNN, or the matrices are too small"
    print(f"{arguments.size}, {arguments.shape}, {torch.get_num_threads()} threads; GFLOP/s")
    print("  rows    oneDNN   PyTorch   ratio")
    for num_rows in arguments.rows:
        inputs = [torch.randn(num_rows, weight.shape[1]) for weight in weights]
        by_onednn = _multiplied(gemm, inputs, weights)
        by_pytorch = _multiplied(F.linear, inputs, weights)
        ours, peer = median_seconds(by_onednn, by_pytorch, arguments.rounds)
        work = 2 * num_rows * sum(weight.numel() for weight in weights) / 1e9
        print(f"{num_rows:6}{work / ours:10.0f}{work / peer:10.0f}{peer / ours:8.2f}")


def _multiplied(product: Product, inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> Work:
    @torch.inference_mode()
    def work(_: int) -> None:
        for input_NI, weight_OI in zip(inputs, weights, strict=True):
            product(input_NI, weight_OI)

    return work


if __name__ == "__main__":
    main()
