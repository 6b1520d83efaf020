"""The chunked loss against `F.cross_entropy`: one forward and backward pass in bf16 autocast.

Both run in turns within one run, so that both meet the same noise; the ratio of the medians is what counts.
With `--ignored 0.1` a tenth of the positions has no target, which ours leaves out of the matrix products.

    python benchmarks/chunked_loss.py --positions 4096 --vocab-size 8192 --hidden-size 256
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from incoder.objective.loss import chunked_cross_entropy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--positions", type=int, default=4096)
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--ignored", type=float, default=0.0, help="the share of positions without a target")
    parser.add_argument("--chunk-sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    hidden_ND = torch.randn(arguments.positions, arguments.hidden_size, device=device, requires_grad=True)
    weight_VD = torch.randn(arguments.vocab_size, arguments.hidden_size, device=device) * 0.05
    weight_VD.requires_grad_()
    targets_N = torch.randint(arguments.vocab_size, (arguments.positions,), device=device)
    targets_N[torch.rand(arguments.positions, device=device) < arguments.ignored] = -100

    def cross_entropy() -> torch.Tensor:
        return F.cross_entropy(hidden_ND @ weight_VD.T, targets_N)

    def chunked(chunk_size: int) -> Callable[[], torch.Tensor]:
        def loss() -> torch.Tensor:
            total, count = chunked_cross_entropy(hidden_ND, weight_VD, targets_N, chunk_size=chunk_size)
            return total / count

        return loss

    losses = {"F.cross_entropy": cross_entropy}
    losses |= {f"chunks of {size}": chunked(size) for size in arguments.chunk_sizes}
    seconds: dict[str, list[float]] = {name: [] for name in losses}
    for round_number in range(arguments.rounds + 1):
        for name, loss in losses.items():
            elapsed = _measured(loss, device, hidden_ND, weight_VD)
            if round_number:  # the first one warms up
                seconds[name].append(elapsed)
    peer = statistics.median(seconds["F.cross_entropy"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(
            f"{name:>16}: {1000 * median:8.1f} ms (from {1000 * min(values):.1f}), ratio {peer / median:.2f}"
        )


def _measured(
    loss: Callable[[], torch.Tensor], device: torch.device, hidden_ND: torch.Tensor, weight_VD: torch.Tensor
) -> float:
    hidden_ND.grad = weight_VD.grad = None
    started = time.perf_counter()
    with torch.autocast(device.type, dtype=torch.bfloat16):
        value = loss()
    torch.autograd.backward(value)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
