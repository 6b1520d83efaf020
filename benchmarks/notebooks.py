"""Reading a notebook of 50 MB and writing infills into it: seconds, and the largest resident size.

    python benchmarks/notebooks.py

Each kind of outputs is measured in a process of its own, without a model.
"""

import base64
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from incoder.cli.holed_file import read_holed

SIZE = 50_000_000  # bytes of outputs
NUM_CELLS = 10
RNG = random.Random(0)


def images(size: int) -> dict[str, object]:
    data = base64.b64encode(RNG.randbytes(size * 3 // 4)).decode()
    return {"output_type": "display_data", "metadata": {}, "data": {"image/png": data}}


def lines(size: int) -> dict[str, object]:
    line = "epoch 12: loss 0.3456, größe 7\n"
    return {
        "output_type": "stream",
        "name": "stdout",
        "text": [line] * (size // len(json.dumps(line, ensure_ascii=False))),
    }


def numbers(size: int) -> dict[str, object]:
    values = [RNG.random() for _ in range(size // 20)]
    return {"output_type": "display_data", "metadata": {}, "data": {"application/json": {"y": values}}}


def write_notebook(path: Path, output: Callable[[int], dict[str, object]]) -> None:
    cell = {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": ["x = ", "<FILL>"]}
    cells = [{**cell, "outputs": [output(SIZE // NUM_CELLS)]} for _ in range(NUM_CELLS)]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    with path.open("w", encoding="utf-8") as file:
        json.dump(notebook, file, ensure_ascii=False)


def measure(path: Path) -> tuple[float, float]:
    """Return the seconds to read the notebook and fill its holes, and the largest size in MB."""
    start = time.perf_counter()
    holed = read_holed(str(path), "<FILL>")
    holed.join(["1"] * NUM_CELLS)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for output in (images, lines, numbers):
            path = Path(folder, f"{output.__name__}.ipynb")
            write_notebook(path, output)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, megabytes = pool.apply(measure, (path,))
            size = path.stat().st_size / 1e6
            print(f"{output.__name__:8} {size:5.1f} MB: {seconds:.2f} s, {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
