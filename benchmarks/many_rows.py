"""Many rows times a large matrix in float32, which reading a prompt is: oneDNN beside PyTorch's own product.

The matrices of one layer of a size, in turns within one run, medians.

    python benchmarks/many_rows.py --size 1.3b --rows 512
"""

import argparse
import statistics
import time

import torch
from torch.nn import functional as F

from incoder.model.many_rows import is_for_onednn, many_rows_product
from incoder.model.sizes import config_for
from incoder.model.transformer import Block


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
    products = {"oneDNN": many_rows_product, "PyTorch": F.linear}
    print(f"{arguments.size}, {arguments.shape}, {torch.get_num_threads()} threads; GFLOP/s")
    print(f"{'rows':>6}" + "".join(f"{name:>10}" for name in products) + f"{'ratio':>8}")
    for num_rows in arguments.rows:
        inputs = [torch.randn(num_rows, weight.shape[1]) for weight in weights]
        seconds: dict[str, list[float]] = {name: [] for name in products}
        for round_number in range(arguments.rounds + 1):
            for name, product in products.items():
                started = time.perf_counter()
                with torch.inference_mode():
                    for weight_OI, input_NI in zip(weights, inputs, strict=True):
                        product(input_NI, weight_OI)
                if round_number:  # the first one warms up
                    seconds[name].append(time.perf_counter() - started)
        work = 2 * num_rows * sum(weight.numel() for weight in weights)
        speeds = [work / statistics.median(values) / 1e9 for values in seconds.values()]
        shown = "".join(f"{speed:10.0f}" for speed in speeds)
        print(f"{num_rows:6}{shown}{speeds[0] / speeds[1]:8.2f}")


if __name__ == "__main__":
    main()
