"""The costs of a model in an editor, by precision: memory, the first request, and the next keystrokes.

Each precision runs in a process of its own. The request is one line in the middle of 1,000 lines of Python,
of which the model reads as much as fits into its context; a keystroke adds a character and repeats the
request. The first request includes loading the model, with kernels that were compiled before, and with
`--project` opening the project memory of that folder, whose index exists already. Linux only.

    python benchmarks/first_and_next.py                              # mini
    python benchmarks/first_and_next.py --dtype float32 --project .
    python benchmarks/first_and_next.py --model runs/tiny/run/model --dtype float32 int8
"""

import argparse
import multiprocessing
import statistics
import time
from pathlib import Path

import torch

import incoder

LINES = [f"    value_{number} = compute(value_{number - 1}, {number % 7})" for number in range(1, 1001)]
TYPED = "result = com"
DTYPES = ("float32", "bfloat16", "int8", "int4")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--project", type=Path, help="mix in the project memory of this folder")
    arguments = parser.parse_args()
    if arguments.project is not None:
        incoder.load(arguments.model).infill("x = <FILL>\n", project=arguments.project, max_new_tokens=1)
    print(f"{arguments.model}, {torch.get_num_threads()} threads")
    print(f"{'':10} {'memory':>8} {'first':>8}  next keystroke: median (range)")
    for dtype in arguments.dtype:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            megabytes, first, following = pool.apply(measure, (arguments.model, dtype, arguments.project))
        times = f"{statistics.median(following):.0f} ({min(following):.0f}-{max(following):.0f}) ms"
        print(f"{dtype:10} {megabytes:5.0f} MB {first:6.2f} s  {times}", flush=True)


def measure(model: str, dtype: str, project: Path | None) -> tuple[float, float, list[float]]:
    """The largest resident size in MB, seconds for the first request, and milliseconds for each keystroke."""
    started = time.perf_counter()
    loaded = incoder.load(model, dtype=dtype)

    def request(typed: str) -> None:
        before = "\n".join([*LINES[:500], f"    {typed}"])
        parts = [before, "\n" + "\n".join(LINES[500:])]
        loaded.infill(parts, temperature=0, max_new_tokens=16, path="a.py", project=project)

    request(TYPED[0])
    first, following = time.perf_counter() - started, []
    for end in range(2, len(TYPED) + 1):
        began = time.perf_counter()
        request(TYPED[:end])
        following.append(1000 * (time.perf_counter() - began))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) * 1024 / 1e6, first, following


if __name__ == "__main__":
    main()
