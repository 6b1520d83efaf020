"""The largest resident size of a process that fills a hole, beside what it needs: weights and cache.

Each precision in a process of its own, on random weights; the cache is that of the tokens read and written.
An interpreter that has only imported PyTorch, numba and InCoder is counted apart. Linux only.

    python benchmarks/memory.py                     # 1.3b, xglm
    python benchmarks/memory.py --size 350m
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from measuring.precisions import Precision, num_matrix_bytes
from measuring.random_models import save_random_model

import incoder
from incoder.inference.cache.kv_cache import bytes_per_token
from incoder.model.device import is_fast_in
from incoder.model.gemv import has_kernels
from incoder.tokenizer.tokenizer import Tokenizer

CPU = torch.device("cpu")
PRECISIONS: dict[str, Precision] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "int8": "int8",
    "int4": "int4",
}
CONTEXT, WRITTEN = "    total += value * weight\n" * 120, 32


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="1.3b")
    parser.add_argument("--shape", choices=["xglm", "llama"], default="xglm")
    arguments = parser.parse_args()

    interpreter = _peak_megabytes(_nothing)
    print(f"{arguments.size}, {arguments.shape}; an interpreter with PyTorch and numba: {interpreter:.0f} MB")
    print(f"{'':10} {'weights':>8} {'cache':>7} {'peak':>7}   MB   less the interpreter, as a ratio")
    for name, precision in PRECISIONS.items():
        stored = precision if isinstance(precision, torch.dtype) else torch.bfloat16
        with tempfile.TemporaryDirectory() as folder:
            config = save_random_model(Path(folder), arguments.size, arguments.shape, stored)
            peak = _peak_megabytes(_fill, folder, name)
            num_tokens = len(Tokenizer.from_file(Path(folder)).encode(CONTEXT)) + WRITTEN
        weights = num_matrix_bytes(config, precision) / 1e6
        computed = torch.bfloat16 if name == "bfloat16" and is_fast_in(stored, CPU) else torch.float32
        cache = bytes_per_token(config, computed) * num_tokens / 1e6
        ratio = (peak - interpreter) / (weights + cache)
        print(f"{name:10} {weights:8.0f} {cache:7.0f} {peak:7.0f}        {ratio:.2f}", flush=True)


def _peak_megabytes(work: Callable[..., None], *arguments: str) -> float:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak_after, (work, *arguments))


def _peak_after(work: Callable[..., None], *arguments: str) -> float:
    work(*arguments)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    # Not ru_maxrss, in which a process that was started by a larger one counts that one's size.
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) * 1024 / 1e6


def _nothing() -> None:
    has_kernels()  # imports them
    torch.mm(torch.ones(8, 8), torch.ones(8, 8))


def _fill(folder: str, dtype: str) -> None:
    model = incoder.load(folder, device=CPU, dtype=dtype)
    model.infill([CONTEXT, CONTEXT[:27]], temperature=0, max_new_tokens=WRITTEN, stopping_rules=())


if __name__ == "__main__":
    main()
